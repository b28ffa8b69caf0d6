package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// written says what a client saw that wrote to the donor during an SST.
type written struct {
	transactions int
	stall        time.Duration // the longest transaction: about as long as the tables were locked
}

// whileWriting runs f while a client writes small transactions to n, one after the other. The client starts before f
// and ends after it; an error it meets, other than a conflict that a client has to retry, fails the test.
func whileWriting(t *testing.T, n *node, f func()) written {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var (
		w    written
		err  error
		wg   sync.WaitGroup
		warm = make(chan struct{})
		once sync.Once
	)
	wg.Go(func() {
		for ctx.Err() == nil && err == nil {
			began := time.Now()
			if err = n.transaction(w.transactions); err == nil {
				w.transactions++
				w.stall = max(w.stall, time.Since(began))
			}
			if w.transactions == 20 || err != nil {
				once.Do(func() { close(warm) })
			}
		}
	})
	defer func() {
		cancel()
		wg.Wait()
		if err != nil {
			t.Errorf("the client that writes to %s: %v", n.name, err)
		}
	}()
	<-warm
	f()
	cancel()
	wg.Wait()
	return w
}

// transaction number i inserts, changes and deletes rows in several table spaces. It runs to its end even if the test
// ends meanwhile: a cut-off commit would be an error of the client, not of the server.
func (n *node) transaction(i int) error {
	for try := 0; ; try++ {
		err := n.tryTransaction(i)
		var known *mysql.MySQLError
		retry := errors.As(err, &known) && (known.Number == 1213 || known.Number == 1205) // deadlock, lock wait
		if !retry || try == 10 {
			return err
		}
	}
}

func (n *node) tryTransaction(i int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tx, err := n.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, s := range []string{
		fmt.Sprintf("INSERT INTO plain.ledger (k, v) SELECT %d, RANDOM_BYTES(500) FROM seq_1_to_10", i),
		fmt.Sprintf("UPDATE plain.big SET filler = RANDOM_BYTES(900) WHERE id BETWEEN %d AND %d", i*37%15000, i*37%15000+5),
		fmt.Sprintf("UPDATE plain.paged SET v = REPEAT(CHAR(65 + %d), 900) WHERE id = %d", i%26, i*53%20000),
		fmt.Sprintf("UPDATE plain.parts SET v = RANDOM_BYTES(250) WHERE id = %d", 1+i*11%2500),
		fmt.Sprintf("DELETE FROM plain.ledger WHERE k = %d", i-50),
	} {
		if _, err := tx.ExecContext(ctx, n.server.dialect(s)); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return tx.Commit()
}
