// Package install puts the program and the names of its methods where mariadbd
// looks for SST scripts, and takes them away again.
//
// It promises that a file of somebody else's is never lost: what stands in the way
// is kept (by dpkg's own means where dpkg looks after the file, so that the next
// upgrade of the package does not bring it back), and Remove puts it back. Each
// step is a rename, so that mariadbd never finds half a file.
//
// It leaves to mariadbd's administrator to choose the method: nothing is configured.
package install

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Binary is the name of the program, which is the method rsync_tunnel.
const Binary = "wsrep_sst_rsync_tunnel"

// Methods are the names under which the program is MariaDB's stock rsync method;
// they become links to Binary.
var Methods = []string{"wsrep_sst_rsync", "wsrep_sst_rsync_wan"}

// Packaged is where packages put the program whose system may have another one under
// the method's name already (RHEL's mariadb-server-galera has the shell script). From
// there it is linked, not copied, so that an update of the package is one of the method.
const Packaged = "/usr/libexec/" + Binary

// keptSuffix is where a stock script waits that dpkg does not look after, and what
// dpkg-divert is told for one that it does.
const keptSuffix = ".stock"

// An Installer works on one directory.
type Installer struct {
	Dir          string // mariadbd's program directory
	Self         string // the file of this program
	ReplaceStock bool   // stock scripts may be put aside
	Say          func(string)
	// Divert calls dpkg-divert with these arguments; nil where there is no dpkg.
	// Diverted says whether it diverts a file to where we put it aside, Owned whether a
	// package owns a file.
	Divert   func(args ...string) error
	Diverted func(path string) bool
	Owned    func(path string) bool
}

// An Advice is an error with a next step.
type Advice struct {
	Err  error
	Step string
}

func (a *Advice) Error() string { return a.Err.Error() }

// Unwrap gives the error.
func (a *Advice) Unwrap() error { return a.Err }

// Hint gives the next step.
func (a *Advice) Hint() string { return a.Step }

// UseDpkg makes the installer use dpkg, if it is on this machine.
func (i *Installer) UseDpkg() {
	divert, err := exec.LookPath("dpkg-divert")
	if err != nil {
		return
	}
	i.Divert = func(args ...string) error {
		out, err := exec.Command(divert, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("dpkg-divert %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
		return nil
	}
	i.Diverted = func(path string) bool {
		out, err := exec.Command(divert, "--truename", path).Output()
		return err == nil && strings.TrimSpace(string(out)) == path+keptSuffix
	}
	i.Owned = func(path string) bool { return exec.Command("dpkg-query", "-S", path).Run() == nil }
}

// FindDir finds the directory in which mariadbd looks for SST scripts: where the
// scripts' common part is, or else bin beside or above the server itself.
func FindDir(path string) (string, error) {
	dirs := append(filepath.SplitList(path), "/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/libexec")
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "wsrep_sst_common")); err == nil {
			return dir, nil
		}
	}
	for _, dir := range dirs {
		for _, server := range []string{"mariadbd", "mysqld"} {
			if _, err := os.Stat(filepath.Join(dir, server)); err != nil {
				continue
			}
			if bin := filepath.Join(filepath.Dir(filepath.Clean(dir)), "bin"); isDir(bin) {
				return bin, nil // mariadbd puts basedir/bin first in its PATH
			}
			return dir, nil
		}
	}
	return "", &Advice{errors.New("no mariadbd and no SST scripts are to be found in the PATH"), "name the directory with --dir"}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Install puts the binary and the links in place. Done twice it does no more than
// once; a newer program replaces an older one.
func (i *Installer) Install() error {
	if !isDir(i.Dir) {
		return fmt.Errorf("install into %s: it is not a directory", i.Dir)
	}
	if ok, err := i.clear(Binary); err != nil {
		return err
	} else if !ok {
		return &Advice{fmt.Errorf("%s is another program", i.path(Binary)), "with --replace-stock it is put aside, to be restored by uninstall"}
	}
	if err := i.copySelf(); err != nil {
		return err
	}
	i.Say("installed " + i.path(Binary) + ": method rsync_tunnel")
	for _, name := range Methods {
		ok, err := i.clear(name)
		if err != nil {
			return err
		}
		if !ok {
			i.Say("kept the stock script " + i.path(name) + "; --replace-stock puts this program in its place")
			continue
		}
		if err := i.link(name, Binary); err != nil {
			return err
		}
		i.Say("installed " + i.path(name) + ": method " + strings.TrimPrefix(name, "wsrep_sst_"))
	}
	return nil
}

// Remove takes away what is ours and puts back what stood there before. The program
// itself stays where a package brought it.
func (i *Installer) Remove() error {
	for _, name := range append(Methods, Binary) {
		path := i.path(name)
		if name == Binary && i.packaged(path) {
			i.Say("left " + path + ": it belongs to a package; remove that")
			continue
		}
		is, err := i.ours(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !is:
			i.Say("left " + path + ": it is not this program")
			continue
		default:
			if err := os.Remove(path); err != nil {
				return err
			}
			i.Say("removed " + path)
		}
		if err := i.restore(name); err != nil {
			return err
		}
	}
	return nil
}

func (i *Installer) path(name string) string { return filepath.Join(i.Dir, name) }

// packaged says whether what stands at path is a package's own: not what we put where
// a package's file is diverted from.
func (i *Installer) packaged(path string) bool {
	return i.Owned != nil && i.Owned(path) && !i.Diverted(path)
}

// ours says whether a file is this program or a link to it.
func (i *Installer) ours(name string) (bool, error) {
	path := i.path(name)
	info, err := os.Lstat(path)
	if err != nil {
		return false, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		return filepath.Base(target) == Binary, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is neither a file nor a link", path)
	}
	build, err := buildinfo.ReadFile(path)
	return err == nil && build.Main.Path == Binary, nil
}

// clear makes room for name: true when nothing is in the way any more, or what is
// there is ours.
func (i *Installer) clear(name string) (bool, error) {
	is, err := i.ours(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil || is:
		return is, err
	case !i.ReplaceStock:
		return false, nil
	}
	path := i.path(name)
	if i.Divert != nil && i.Owned(path) {
		if err := i.Divert("--local", "--rename", "--divert", path+keptSuffix, "--add", path); err != nil {
			return false, err
		}
		i.Say("put " + path + " aside as " + path + keptSuffix + ", by a diversion of dpkg")
		return true, nil
	}
	if err := os.Rename(path, path+keptSuffix); err != nil {
		return false, err
	}
	i.Say("put " + path + " aside as " + path + keptSuffix)
	return true, nil
}

// restore puts back what clear put aside. A diversion goes even if the package whose
// file was diverted is gone, and the file with it.
func (i *Installer) restore(name string) error {
	path := i.path(name)
	_, err := os.Lstat(path + keptSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	kept := err == nil
	if i.Divert != nil && i.Diverted(path) {
		if err := i.Divert("--local", "--rename", "--divert", path+keptSuffix, "--remove", path); err != nil {
			return err
		}
	}
	if !kept {
		return nil
	}
	if _, err := os.Lstat(path + keptSuffix); err == nil { // dpkg did not know of it
		if err := os.Rename(path+keptSuffix, path); err != nil {
			return err
		}
	}
	i.Say("restored " + path)
	return nil
}

// copySelf copies this program, whole or not at all, or links it.
func (i *Installer) copySelf() error {
	target := i.path(Binary)
	if a, err := os.Stat(i.Self); err != nil {
		return fmt.Errorf("read this program: %w", err)
	} else if b, err := os.Stat(target); err == nil && os.SameFile(a, b) {
		return nil // started from where it belongs
	}
	if i.Self == Packaged {
		return i.link(Binary, Packaged)
	}
	from, err := os.Open(i.Self)
	if err != nil {
		return fmt.Errorf("read this program: %w", err)
	}
	defer from.Close()
	to, err := os.CreateTemp(i.Dir, "."+Binary+".")
	if err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	defer os.Remove(to.Name())
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Chmod(0o755), to.Sync(), to.Close())
	if err == nil {
		err = os.Rename(to.Name(), target)
	}
	if err != nil {
		return fmt.Errorf("install %s: %w", target, err)
	}
	return nil
}

// link makes a name a link to target.
func (i *Installer) link(name, target string) error {
	path := i.path(name)
	temp := i.path("." + name + ".new")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
