package sst

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A BinlogTar is an archive of the last binlogs that exists nowhere: its headers
// are in memory, the contents are read from the files. Sizes are those of the
// moment it was opened, so open it when the tables are locked: then the server may
// not rotate, and only then is the newest file complete.
//
// It is what wsrep_sst_binlog.tar is to the stock scripts: base names only.
type BinlogTar struct {
	Names   []string // base names, oldest first
	Missing []string // in the index, but gone: purged by hand
	ModTime time.Time

	parts []tarPart // in order, without gaps
	size  int64
}

// A tarPart is a piece of the archive: bytes, or a file followed by zeros.
type tarPart struct {
	at   int64
	size int64 // with padding
	text []byte
	file *os.File
	data int64 // of the file
}

const tarBlock = 512

// maxTarFiles bounds the descriptors that an archive holds.
const maxTarFiles = 10_000

// OpenBinlogTar opens the last max binlogs of the index; all if max is negative.
// An index without files, or none, gives an empty archive.
func OpenBinlogTar(b Binlog, datadir string, max int) (*BinlogTar, error) {
	names, err := readIndex(b.Index, datadir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if max >= 0 && len(names) > max {
		names = names[len(names)-max:]
	}
	if len(names) > maxTarFiles {
		return nil, fmt.Errorf("%d binlogs are to be sent, at most %d can be: lower sst-max-binlogs", len(names), maxTarFiles)
	}
	t := &BinlogTar{}
	for _, name := range names {
		if err := t.add(name); err != nil {
			t.Close()
			return nil, err
		}
	}
	t.append(tarPart{text: make([]byte, 2*tarBlock), size: 2 * tarBlock})
	return t, nil
}

func (t *BinlogTar) add(name string) error {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		t.Missing = append(t.Missing, name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("binlog: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	var header []byte
	if err == nil {
		header, err = tarHeader(filepath.Base(name), info)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("binlog: %w", err)
	}
	t.Names = append(t.Names, filepath.Base(name))
	if info.ModTime().After(t.ModTime) {
		t.ModTime = info.ModTime()
	}
	t.append(tarPart{text: header, size: int64(len(header))})
	t.append(tarPart{file: f, data: info.Size(), size: (info.Size() + tarBlock - 1) / tarBlock * tarBlock})
	return nil
}

func (t *BinlogTar) append(p tarPart) {
	p.at = t.size
	t.size += p.size
	t.parts = append(t.parts, p)
}

// tarHeader renders the header of one file, in a form that any tar reads.
func tarHeader(name string, info os.FileInfo) ([]byte, error) {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(info.Mode().Perm()),
		ModTime: info.ModTime().Truncate(time.Second), Format: tar.FormatGNU,
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		h.Uid, h.Gid = int(st.Uid), int(st.Gid)
	}
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(h); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Size is the length of the archive.
func (t *BinlogTar) Size() int64 { return t.size }

// ReadAt implements io.ReaderAt. A file that has become shorter is
// io.ErrUnexpectedEOF: nothing is made up.
func (t *BinlogTar) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("binlog archive: negative offset %d", off)
	}
	n := 0
	i := sort.Search(len(t.parts), func(i int) bool { return t.parts[i].at+t.parts[i].size > off })
	for ; n < len(p) && i < len(t.parts); i++ {
		part := t.parts[i]
		from := off + int64(n) - part.at
		m, err := part.readAt(p[n:], from)
		n += m
		if err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readAt fills as much of p as the part has from off on.
func (t tarPart) readAt(p []byte, off int64) (int, error) {
	p = p[:min(int64(len(p)), t.size-off)]
	if t.file == nil {
		return copy(p, t.text[off:]), nil
	}
	n := 0
	if off < t.data {
		want := p[:min(int64(len(p)), t.data-off)]
		var err error
		if n, err = t.file.ReadAt(want, off); n < len(want) {
			if err == nil || err == io.EOF {
				err = fmt.Errorf("binlog %s has become shorter: %w", t.file.Name(), io.ErrUnexpectedEOF)
			}
			return n, err
		}
	}
	clear(p[n:])
	return len(p), nil
}

// Close closes the files.
func (t *BinlogTar) Close() error {
	var errs []error
	for _, p := range t.parts {
		if p.file != nil {
			errs = append(errs, p.file.Close())
		}
	}
	return errors.Join(errs...)
}
