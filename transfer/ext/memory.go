package ext

// Memory is the digests of what the joiner has, in blocks of 16 KiB, by root and name. Both ends
// keep one. It holds up to 32 MiB of digests (32 GiB of files) itself and the rest in an
// unlinked temporary file.
//
// It describes the path at the joiner, so it stays valid when the donor's file is dropped and
// made again under the name. The donor must forget what left its list, since the
// joiner then removes it: Keep does that.
type Memory struct{}

// NewMemory makes an empty one; tmpdir is where the temporary file goes, "" is the system's.
func NewMemory(tmpdir string) *Memory { panic("skeleton") }

// Forget forgets one file.
func (m *Memory) Forget(root uint8, name string) { panic("skeleton") }

// Keep forgets all files for which keep is false.
func (m *Memory) Keep(keep func(root uint8, name string) bool) { panic("skeleton") }

// Known says whether anything is known of a file.
func (m *Memory) Known(root uint8, name string) bool { panic("skeleton") }

// Close gives the temporary file back.
func (m *Memory) Close() error { panic("skeleton") }
