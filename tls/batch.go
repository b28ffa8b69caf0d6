package tls

import (
	"bytes"
	stdtls "crypto/tls"
	"net"
	"sync"
	"sync/atomic"
)

// bufferSize holds a whole write of the engine (256 KiB) as records, with what
// TLS adds to each 16 KiB.
const bufferSize = 256<<10 + 4<<10

// batch lies between crypto/tls and the TCP connection. crypto/tls hands each
// record of 16 KiB to its connection in a write of its own, and reads about as
// little at a time; at that size the system calls cost as much as the cipher.
// batch collects the records of one Write of ours into one system call, and reads
// ahead as much as has arrived.
//
// What crypto/tls writes on its own (handshake, alerts, key updates) goes out at
// once, or in its turn behind the records that are being collected.
type batch struct {
	net.Conn
	buffers *sync.Pool

	received atomic.Int64 // bytes read from the connection

	readLock   sync.Mutex
	readBuffer *[bufferSize]byte // taken at the first read
	lastRead   []byte            // the part of it that the last read filled
	unread     []byte            // the part of that which crypto/tls has not had yet
	readClosed bool

	writers     atomic.Int32 // Writes of ours under way
	writeLock   sync.Mutex
	writeBuffer *[bufferSize]byte // taken at the first batch
	unwritten   int
	writeErr    error // sticky: records after a lost one are worthless
}

func newBatch(conn net.Conn, buffers *sync.Pool) *batch {
	return &batch{Conn: conn, buffers: buffers}
}

func (b *batch) Read(p []byte) (int, error) {
	b.readLock.Lock()
	defer b.readLock.Unlock()
	if len(b.unread) == 0 {
		if b.readClosed {
			return 0, net.ErrClosed
		}
		if b.readBuffer == nil {
			b.readBuffer = b.buffers.Get().(*[bufferSize]byte)
		}
		n, err := b.Conn.Read(b.readBuffer[:])
		b.received.Add(int64(n))
		b.lastRead = b.readBuffer[:n]
		b.unread = b.lastRead
		if n == 0 {
			return 0, err
		}
		// An error that came with data comes again with the next read.
	}
	n := copy(p, b.unread)
	b.unread = b.unread[n:]
	return n, nil
}

func (b *batch) Write(p []byte) (int, error) {
	b.writeLock.Lock()
	defer b.writeLock.Unlock()
	if b.writers.Load() == 0 || len(p) > bufferSize {
		if err := b.flushLocked(); err != nil {
			return 0, err
		}
		return b.writeLocked(p)
	}
	if b.writeErr != nil {
		return 0, b.writeErr
	}
	if b.unwritten+len(p) > bufferSize {
		if err := b.flushLocked(); err != nil {
			return 0, err
		}
	}
	if b.writeBuffer == nil {
		b.writeBuffer = b.buffers.Get().(*[bufferSize]byte)
	}
	b.unwritten += copy(b.writeBuffer[b.unwritten:], p)
	return len(p), nil
}

// plainAlert is the alert without encryption that the last read ended with. In TLS
// 1.3 such a record cannot be decrypted, and crypto/tls calls it damaged, but it
// is how OpenSSL refuses a server's certificate: it has not changed its keys yet.
func (b *batch) plainAlert() (alert stdtls.AlertError, ok bool) {
	b.readLock.Lock()
	defer b.readLock.Unlock()
	const size = 7 // type, version, length, level, alert
	if len(b.lastRead) < size {
		return 0, false
	}
	record := b.lastRead[len(b.lastRead)-size:]
	return stdtls.AlertError(record[6]), bytes.HasPrefix(record, []byte{21, 3, 3, 0, 2})
}

// begin starts collecting; each begin is followed by an end.
func (b *batch) begin() { b.writers.Add(1) }

// end writes what has been collected.
func (b *batch) end() error {
	b.writeLock.Lock()
	defer b.writeLock.Unlock()
	defer b.writers.Add(-1)
	return b.flushLocked()
}

func (b *batch) flushLocked() error {
	if b.unwritten == 0 {
		return b.writeErr
	}
	n := b.unwritten
	b.unwritten = 0
	_, err := b.writeLocked(b.writeBuffer[:n])
	return err
}

func (b *batch) writeLocked(p []byte) (int, error) {
	if b.writeErr != nil {
		return 0, b.writeErr
	}
	n, err := b.Conn.Write(p)
	b.writeErr = err
	return n, err
}

// writing tells whether a Write of ours is under way.
func (b *batch) writing() bool { return b.writers.Load() > 0 }

// Close closes the connection, which ends reads and writes under way, and then
// gives the buffers back.
func (b *batch) Close() error {
	err := b.Conn.Close()

	b.readLock.Lock()
	defer b.readLock.Unlock()
	b.readClosed = true
	b.unread, b.lastRead = nil, nil
	if b.readBuffer != nil {
		b.buffers.Put(b.readBuffer)
		b.readBuffer = nil
	}

	b.writeLock.Lock()
	defer b.writeLock.Unlock()
	if b.writeErr == nil {
		b.writeErr = net.ErrClosed
	}
	b.unwritten = 0
	if b.writeBuffer != nil {
		b.buffers.Put(b.writeBuffer)
		b.writeBuffer = nil
	}
	return err
}
