package e2e

import (
	"os"
	"testing"
	"time"
)

// The one binary, under the oldest and the newest MariaDB that Debian's releases have: the same story as with the
// installed one, and every directory elsewhere. e2e/versions.sh fetches the servers, `make test-versions` runs this.
func TestNodesJoinOnOtherMariaDBs(t *testing.T) {
	t.Parallel()
	if os.Getenv("E2E_LONG") == "" {
		t.Skip("takes minutes: only in the long run (make test-versions, or E2E_LONG=1)")
	}
	for _, release := range []string{"bullseye", "trixie"} {
		t.Run("MariaDB of "+release, func(t *testing.T) {
			s := serverOf(t, release)
			t.Run("SST to an empty and to a stale directory while a client writes, and IST", func(t *testing.T) {
				c := newClusterWith(t, method(), s)
				c.carriesAll(t)
				t.Logf("%s: mariadbd %s with galera-4 %s: SST and IST work", time.Now().UTC().Format(time.DateOnly),
					c.donor.value(t, "SELECT VERSION()"), s.release.Version("galera-4"))
			})
			t.Run("SST with every directory elsewhere", func(t *testing.T) {
				c := newClusterWith(t, method(), s)
				c.selfSignedBoth(t)
				for _, n := range []*node{c.donor, c.joiner} {
					n.conf.mysqld = n.scattered(t)
				}
				c.donor.scatter(t)
				c.bootstrap(t)
				c.donor.exec(t, schema...)
				c.joins(t)
			})
		})
	}
}
