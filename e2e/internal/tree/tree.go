// Package tree describes a directory tree so that two trees can be compared in a test: type, permission bits, owner,
// size, link target, content, and if wanted modification times.
//
// It promises to look at everything that a transfer could get wrong except holes, which Blocks reports by themselves
// since two equal files may differ in them.
package tree

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Node is one file, as far as Diff compares it.
type Node struct {
	Mode  uint32 // type and permission bits, Linux numbering
	UID   uint32
	GID   uint32
	Size  int64  // regular files and links
	Rdev  uint64 // device nodes
	Link  string
	Sum   [sha256.Size]byte // regular files
	Mtime int64             // nanoseconds, 0 unless asked for
}

// Options say what Read looks at.
type Options struct {
	Mtimes bool
	// Skip leaves a name, relative to the root, and what is below it out.
	Skip func(name string) bool
	// Unmunge takes off the prefix that an rsync daemon without chroot puts before the target of each link it
	// receives (rsyncd.conf, "munge symlinks").
	Unmunge bool
}

const munged = "/rsyncd-munged/"

// Tree maps names relative to the root ("." is the root) to what is there.
type Tree map[string]Node

// Read walks root without following links.
func Read(root string, o Options) (Tree, error) {
	tree := Tree{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if o.Skip != nil && o.Skip(name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		node, err := read(path, o)
		if err != nil {
			return err
		}
		tree[name] = node
		return nil
	})
	return tree, err
}

func read(path string, o Options) (Node, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return Node{}, fmt.Errorf("lstat %s: %w", path, err)
	}
	n := Node{Mode: st.Mode, UID: st.Uid, GID: st.Gid}
	if o.Mtimes {
		n.Mtime = st.Mtim.Nano()
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		n.Size = st.Size
		f, err := os.Open(path)
		if err != nil {
			return n, err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return n, err
		}
		h.Sum(n.Sum[:0])
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return n, err
		}
		if o.Unmunge {
			target = strings.TrimPrefix(target, munged)
		}
		n.Link, n.Size = target, int64(len(target))
	case unix.S_IFBLK, unix.S_IFCHR:
		n.Rdev = st.Rdev
	}
	return n, nil
}

// Blocks returns the bytes a file occupies on disk.
func Blocks(path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, fmt.Errorf("lstat %s: %w", path, err)
	}
	return st.Blocks * 512, nil
}

// Diff lists in words how got differs from want, nothing when they are equal.
func Diff(got, want Tree) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		g, there := got[name]
		if !there {
			out = append(out, fmt.Sprintf("%q is missing", name))
			continue
		}
		if d := diff(g, want[name]); d != "" {
			out = append(out, fmt.Sprintf("%q: %s", name, d))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, wanted := want[name]; !wanted {
			out = append(out, fmt.Sprintf("%q should not be there", name))
		}
	}
	return out
}

func diff(got, want Node) string {
	var out []string
	note := func(what string, equal bool, g, w any) {
		if !equal {
			out = append(out, fmt.Sprintf("%s %v, want %v", what, g, w))
		}
	}
	note("mode", got.Mode == want.Mode, octal(got.Mode), octal(want.Mode))
	note("uid", got.UID == want.UID, got.UID, want.UID)
	note("gid", got.GID == want.GID, got.GID, want.GID)
	note("size", got.Size == want.Size, got.Size, want.Size)
	note("device", got.Rdev == want.Rdev, got.Rdev, want.Rdev)
	note("link", got.Link == want.Link, got.Link, want.Link)
	note("mtime", got.Mtime == want.Mtime, got.Mtime, want.Mtime)
	note("content", got.Sum == want.Sum,
		fmt.Sprintf("%x", got.Sum[:4]), fmt.Sprintf("%x", want.Sum[:4]))
	return strings.Join(out, "; ")
}

func octal(mode uint32) string { return fmt.Sprintf("%07o", mode) }
