// The program contents tells what is inside a binary of ours, from what the linker noted
// in it: as a bill of materials (CycloneDX 1.5, JSON), and as the licences of all of it,
// which those who pass the binary on have to pass on, too.
//
//	go run ./packaging/contents sbom BINARY VERSION
//	go run ./packaging/contents licenses BINARY
//
// It promises the same bytes for the same binary: the time is SOURCE_DATE_EPOCH's, the serial
// number is made from the binary. It asks no network; the licences are read from the module cache that the
// binary was built from. It is no part of the binary and imports nothing but Go's library.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "contents:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	switch {
	case len(args) == 3 && args[0] == "sbom":
		when, err := buildTime(os.Getenv("SOURCE_DATE_EPOCH"))
		if err != nil {
			return err
		}
		return writeSBOM(out, args[1], args[2], when)
	case len(args) == 2 && args[0] == "licenses":
		return writeLicenses(out, args[1])
	}
	return errors.New("sbom BINARY VERSION, or licenses BINARY")
}
