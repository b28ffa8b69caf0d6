package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// samePosition waits until both nodes have applied the same last transaction of the same history.
func (c *cluster) samePosition(t *testing.T) {
	t.Helper()
	c.joiner.eventually(t, 30*time.Second, "reach the donor's position", func(ctx context.Context) (bool, string) {
		var at [2]string
		for i, n := range []*node{c.donor, c.joiner} {
			uuid, err := n.status(ctx, "wsrep_cluster_state_uuid")
			if err != nil {
				return false, err.Error()
			}
			own, err := n.status(ctx, "wsrep_local_state_uuid")
			if err != nil {
				return false, err.Error()
			}
			seqno, err := n.status(ctx, "wsrep_last_committed")
			if err != nil {
				return false, err.Error()
			}
			at[i] = fmt.Sprintf("%s (cluster %s) seqno %s", own, uuid, seqno)
		}
		return at[0] == at[1], fmt.Sprintf("donor %s, joiner %s", at[0], at[1])
	})
}

// serves writes on each node and reads it on the other.
func (c *cluster) serves(t *testing.T) {
	t.Helper()
	const insert = "INSERT INTO plain.ledger (k, v) VALUES (-1, 'from %s')"
	for _, pair := range [][2]*node{{c.donor, c.joiner}, {c.joiner, c.donor}} {
		from, to := pair[0], pair[1]
		before := to.value(t, "SELECT COUNT(*) FROM plain.ledger WHERE k = -1")
		from.exec(t, fmt.Sprintf(insert, from.name))
		to.eventually(t, 10*time.Second, "read what was written on "+from.name, func(ctx context.Context) (bool, string) {
			now := to.value(t, "SELECT COUNT(*) FROM plain.ledger WHERE k = -1")
			return now != before, now + " rows"
		})
	}
}
