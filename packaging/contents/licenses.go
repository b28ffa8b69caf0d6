package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// licenseNames are how licences are called in the modules that we link; LICENSES is the folder of
// those that the files name (REUSE).
var licenseNames = []string{"LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "PATENTS*", "LICENSES/*"}

// writeLicenses writes our licence, Go's, and those of all modules that are linked into a binary.
func writeLicenses(out io.Writer, binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("read what %s was built from: %w", binary, err)
	}
	root, err := goSays("env", "GOROOT")
	if err != nil {
		return err
	}
	if err := licensesBelow(out, info.Main.Path, ".", []string{"."}); err != nil {
		return err
	}
	if err := licensesBelow(out, "Go, its runtime and its library", root, []string{root}); err != nil {
		return err
	}
	for _, module := range info.Deps {
		dir, err := goSays("list", "-m", "-f", "{{.Dir}}", module.Path)
		if err != nil {
			return err
		}
		if dir == "" {
			return fmt.Errorf("module %s is not in the module cache; hint: go mod download", module.Path)
		}
		folders, err := linkedFolders(module.Path)
		if err != nil {
			return err
		}
		if err := licensesBelow(out, module.Path+" "+module.Version, dir, append(folders, dir)); err != nil {
			return err
		}
	}
	return nil
}

// linkedFolders are those of a module whose packages the program imports: one of them may
// be of another author.
func linkedFolders(module string) ([]string, error) {
	list, err := goSays("list", "-deps", "-f", `{{with .Module}}{{if eq .Path "`+module+`"}}{{$.Dir}}{{end}}{{end}}`, ".")
	return strings.Fields(list), err
}

func licensesBelow(out io.Writer, what, root string, folders []string) error {
	slices.Sort(folders)
	found := 0
	for _, folder := range slices.Compact(folders) {
		for _, pattern := range licenseNames {
			files, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				return err
			}
			for _, file := range files {
				if info, err := os.Stat(file); err == nil && info.IsDir() {
					continue
				}
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				name, err := filepath.Rel(root, file)
				if err != nil {
					return err
				}
				found++
				if _, err := fmt.Fprintf(out, "== %s: %s ==\n\n%s\n\n", what, name, bytes.TrimSpace(text)); err != nil {
					return err
				}
			}
		}
	}
	if found == 0 {
		return fmt.Errorf("%s has no file with a licence", what)
	}
	return nil
}

// goSays runs the go command in the module that is being packaged.
func goSays(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
