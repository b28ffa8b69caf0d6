package wire

import "sync"

// buffers keeps the large buffers of ended connections for the next ones: an SST between our own ends opens several
// connections, a stock donor one for each schema directory. It holds no state that one session could see of another: a
// Reader hands out only what it has read, a Writer sends only what was committed.
var buffers = sync.Pool{New: func() any { return new([bufferLen]byte) }}

func getBuffer() []byte { return buffers.Get().(*[bufferLen]byte)[:] }

func putBuffer(b []byte) {
	if b != nil {
		buffers.Put((*[bufferLen]byte)(b))
	}
}
