package delta

import (
	"io"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// MaxLiteral is the longest literal we put behind one token: rsync 3.4.3 and 3.4.4 abort on more (rsync-wire.md §11.2).
const MaxLiteral = 32768

// ReadToken reads the integer that starts an uncompressed token: n > 0 for n literal bytes that follow, n < 0 for block
// [TokenBlock](n) of the basis, 0 for the end of the data. The caller checks what it means; [Receive] does all of it.
func ReadToken(r *wire.Reader) (int32, error) {
	n, err := r.Int()
	return n, noEOF(err)
}

// TokenBlock returns the block number of a negative token. It does not overflow for any n < 0.
func TokenBlock(n int32) int32 { return -(n + 1) }

// blockToken is the reverse of TokenBlock.
func blockToken(i int32) int32 { return -i - 1 }

// noEOF makes of the end of the stream what it is inside a reply: unexpected.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
