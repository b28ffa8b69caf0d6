package sst

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/options.md has the table of known keys in the words of the code. What this test
// says is missing can be pasted there.
func TestEveryKeyIsInTheDocument(t *testing.T) {
	doc := readDoc(t)
	for part := partChannel; part <= partOthers; part++ {
		if table := docTable(part); !strings.Contains(doc, "\n\n"+table+"\n") {
			t.Errorf("docs/options.md lacks this table:\n%s", table)
		}
	}
	if list := docPaths(); !strings.Contains(doc, "\n\n"+list+"\n") {
		t.Errorf("docs/options.md lacks this paragraph:\n%s", list)
	}
}

// Nothing is documented that the code does not know.
func TestEveryDocumentedKeyIsKnown(t *testing.T) {
	rows := 0
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z][^`]*)`").FindAllStringSubmatch(readDoc(t), -1) {
		rows++
		if _, known := lookupKey(row[1]); !known {
			t.Errorf("docs/options.md has a row for %s, which nothing reads", row[1])
		}
	}
	if rows != len(knownKeys) {
		t.Errorf("%d rows for %d keys", rows, len(knownKeys))
	}
}

func TestTheTableOfKeysIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range knownKeys {
		if seen[k.name] {
			t.Errorf("%s stands there twice", k.name)
		}
		seen[k.name] = true
		if k.name != strings.ToLower(k.name) || strings.ContainsAny(k.name, "_ ") || strings.HasPrefix(k.name, "loose-") {
			t.Errorf("%s would never be found", k.name)
		}
		if k.meaning == "" || k.part != partOthers && k.limits == "" || k.example == "" && k.name != "skip-log-bin" {
			t.Errorf("%s is not described", k.name)
		}
	}
	for _, key := range []string{"tmpdir", "progress"} { // both a key of its own and a path
		if !seen[key] {
			t.Errorf("%s is missing", key)
		}
	}
}

func readDoc(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "options.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// docTable is a part of the table as the document has it.
func docTable(part optionPart) string {
	rows := []string{"| key | groups | read by | default | range, unit | example | meaning |\n|---|---|---|---|---|---|---|"}
	if part == partOthers {
		rows[0] = "| key | groups | example | why it has no effect |\n|---|---|---|---|"
	}
	for _, k := range knownKeys {
		if k.part != part {
			continue
		}
		example := "`" + k.name + "`"
		if k.example != "" {
			example = "`" + k.name + "=" + k.example + "`"
		}
		cells := []string{"`" + k.name + "`", k.groups.String(), k.readBy(), k.standard, k.limits, example, k.meaning}
		if part == partOthers {
			cells = []string{cells[0], cells[1], cells[5], cells[6]}
		}
		row := "|"
		for _, cell := range cells {
			row += " " + cell + " |"
		}
		rows = append(rows, strings.ReplaceAll(row, "|  |", "| |"))
	}
	return strings.Join(rows, "\n")
}

// docPaths is the list of the paths that are kept away from.
func docPaths() string {
	names := slices.Concat(pathKeys, listKeys, stemKeys, []string{"progress", "file-key-management-filekey", "innodb-temp-data-file-path"})
	slices.Sort(names)
	names = slices.Compact(names)
	return "`" + strings.Join(names, "`, `") + "`; in `wsrep-provider-options`: `" + strings.Join(providerKeys, "`, `") + "`."
}
