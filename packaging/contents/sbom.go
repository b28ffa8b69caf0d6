package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// These are the parts of CycloneDX 1.5 that we have something to say in
// (https://cyclonedx.org/docs/1.5/json).
type (
	bill struct {
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Ref        string     `json:"bom-ref"`
		Type       string     `json:"type"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Hashes     []hash     `json:"hashes,omitempty"`
		PURL       string     `json:"purl,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn,omitempty"`
	}
)

// buildTime reads SOURCE_DATE_EPOCH, seconds since 1970.
func buildTime(epoch string) (time.Time, error) {
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: it has to be the seconds since 1970 that the bill shall bear", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// writeSBOM writes the bill of materials of a binary.
func writeSBOM(out io.Writer, binary, version string, when time.Time) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("read what %s was built from: %w", binary, err)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	b, err := billOf(info, filepath.Base(binary), version, sha256.Sum256(content), when)
	if err != nil {
		return fmt.Errorf("%s: %w", binary, err)
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	_, err = out.Write(append(text, '\n'))
	return err
}

func billOf(info *debug.BuildInfo, name, version string, sum [sha256.Size]byte, when time.Time) (bill, error) {
	own := component{
		Ref: "pkg:golang/" + info.Main.Path + "@" + version, Type: "application", Name: name, Version: version,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
	}
	for _, s := range info.Settings {
		if s.Key == "GOOS" || s.Key == "GOARCH" || s.Key == "CGO_ENABLED" {
			own.Properties = append(own.Properties, property{"go:build:" + s.Key, s.Value})
		}
	}
	b := bill{
		Format: "CycloneDX", Spec: "1.5", Serial: serial(sum), Version: 1,
		Metadata:     metadata{when.Format(time.RFC3339), own},
		Dependencies: []dependency{{Ref: own.Ref}},
	}
	library := component{Ref: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"), Type: "library", Name: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}
	library.PURL = library.Ref
	b.Components = append(b.Components, library)
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		digest, err := digestOf(module)
		if err != nil {
			return bill{}, err
		}
		purl := "pkg:golang/" + module.Path + "@" + module.Version
		b.Components = append(b.Components, component{Ref: purl, Type: "library", Name: module.Path, Version: module.Version, Hashes: []hash{digest}, PURL: purl})
	}
	for _, c := range b.Components {
		b.Dependencies[0].On = append(b.Dependencies[0].On, c.Ref)
		b.Dependencies = append(b.Dependencies, dependency{Ref: c.Ref})
	}
	return b, nil
}

// digestOf is a module's line in go.sum as CycloneDX writes digests: "h1:" stands before the
// SHA-256 of the list of its files' sums, in base64.
func digestOf(module *debug.Module) (hash, error) {
	text, ok := strings.CutPrefix(module.Sum, "h1:")
	sum, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(sum) != sha256.Size {
		return hash{}, fmt.Errorf("module %s was not built from what go.sum vouches for: its sum is %q", module.Path, module.Sum)
	}
	return hash{"SHA-256", hex.EncodeToString(sum)}, nil
}

// serial is a UUID (version 8, RFC 9562 §5.8) made from a binary's digest.
func serial(sum [sha256.Size]byte) string {
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
