package sst

import (
	"fmt"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/tls"
)

// An intake keeps account of what a joiner has been sent: who the donor is, which
// connections and sessions are open, and whether all has arrived. It decides when
// the SST is complete and when it is given up for want of connections.
//
// The donor is whoever begins: with the control connection, or with the first
// session whose list is in. From then on the SST belongs to his certificate, or,
// where none is demanded, to his address; nobody else is let in.
type intake struct {
	silence time.Duration // without any connection, once there was one; 0: no limit
	first   time.Duration // for the donor to appear; 0: no limit
	giveUp  func(error)   // called at most once by the time limits
	gate    *gate         // is told where the owner is

	mu       sync.Mutex
	owner    *tls.Peer
	began    time.Time // when the owner came
	open     int       // connections that are let in
	made     int       // of them all, since the owner is known
	sessions int       // sessions that change something
	failed   map[string]error
	last     int  // sessions under way that bring the magic file
	arrived  bool // the magic file is there
	whole    chan struct{}
	timer    *time.Timer
}

// newIntake: by names the setting that first comes from.
func newIntake(silence, first time.Duration, by string, giveUp func(error)) *intake {
	i := &intake{silence: silence, first: first, giveUp: giveUp, gate: newGate(), failed: map[string]error{}, whole: make(chan struct{})}
	if first > 0 {
		i.timer = time.AfterFunc(first, func() {
			giveUp(fail(exitPipe, overdue{fmt.Errorf("no donor has come within %v (%s)", first, by)}))
		})
	}
	return i
}

// stop ends the time limits.
func (i *intake) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stopTimer()
}

func (i *intake) stopTimer() {
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
}

// enter lets a connection in, or says why not. Each one let in must leave.
func (i *intake) enter(p tls.Peer) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.refuses(p); err != nil {
		return err
	}
	if i.open >= maxSessions {
		return fmt.Errorf("%d connections are open already", i.open)
	}
	i.open++
	if i.owner != nil {
		i.made++
		i.stopTimer()
	}
	return nil
}

// account says who the donor has shown himself to be, and how often he connected.
func (i *intake) account() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.owner == nil {
		return "no donor has come"
	}
	return fmt.Sprintf("donor %s; %d connections", credentials(*i.owner), i.made)
}

// leave ends a connection that was let in.
func (i *intake) leave() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open--
	if i.open == 0 && i.owner != nil && !i.arrived && i.silence > 0 {
		i.stopTimer()
		i.timer = time.AfterFunc(i.silence, func() {
			i.giveUp(fail(exitPipe, overdue{fmt.Errorf("no connection from the donor %s for %v", peerName(*i.owner), i.silence)}))
		})
	}
}

// claim makes the SST belong to p.
func (i *intake) claim(p tls.Peer) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.refuses(p); err != nil {
		return err
	}
	if i.owner == nil {
		i.owner, i.began, i.made = &p, time.Now(), 1 // the one it came with
		i.gate.settle(p.Addr)
		i.stopTimer()
	}
	return nil
}

func (i *intake) refuses(p tls.Peer) error {
	if i.owner != nil && ownerKey(*i.owner) != ownerKey(p) {
		return fmt.Errorf("this SST belongs to %s", peerName(*i.owner))
	}
	if i.arrived {
		return fmt.Errorf("this SST is complete")
	}
	return nil
}

// owns says whether the SST is p's.
func (i *intake) owns(p tls.Peer) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.owner != nil && ownerKey(*i.owner) == ownerKey(p)
}

// since is when the donor came.
func (i *intake) since() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.began
}

// donor names the owner, "nobody" before there is one.
func (i *intake) donor() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.owner == nil {
		return "nobody"
	}
	return peerName(*i.owner)
}

// begin and end enclose a session that changes something. key names what it
// fills: a later session with the same key makes up for a failed one.
func (i *intake) begin() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sessions++
}

func (i *intake) end(key string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sessions--
	if err != nil {
		i.failed[key] = err
	} else {
		delete(i.failed, key)
	}
	i.check()
}

// beginMagic and endMagic enclose a session that brings the magic file.
func (i *intake) beginMagic() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last++
}

func (i *intake) endMagic(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last--
	if err == nil {
		i.arrived = true
		i.stopTimer()
		i.check()
	}
}

func (i *intake) check() {
	if i.arrived && i.sessions == 0 {
		select {
		case <-i.whole:
		default:
			close(i.whole)
		}
	}
}

// begun says whether a donor has come.
func (i *intake) begun() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.owner != nil
}

// closing says whether the magic file is there or on its way: a donor has no more to
// do then, and may leave.
func (i *intake) closing() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.arrived || i.last > 0
}

// verdict is nil if every part arrived.
func (i *intake) verdict() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for key, err := range i.failed {
		return fmt.Errorf("the donor says that all is sent, but %s failed: %w", key, err)
	}
	return nil
}

// ownerKey is what makes two connections one peer's.
func ownerKey(p tls.Peer) string {
	if p.Fingerprint != "" {
		return p.Fingerprint
	}
	return host(p.Addr)
}

// peerName names a peer for people.
func peerName(p tls.Peer) string {
	if p.CommonName == "" {
		return host(p.Addr)
	}
	return fmt.Sprintf("%s (certificate CN=%s)", host(p.Addr), p.CommonName)
}
