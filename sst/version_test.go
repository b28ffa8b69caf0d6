package sst

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A part is a segment of a program.
type part struct {
	flags elf.ProgFlag
	data  string
}

// programOf makes a program for this test of parts that are loaded.
func programOf(parts ...part) []byte {
	h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: uint16(len(parts)), Shentsize: 64}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, h)
	at := uint64(64 + 56*len(parts))
	for _, p := range parts {
		n := uint64(len(p.data))
		binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(p.flags), Off: at, Filesz: n, Memsz: n})
		at += n
	}
	for _, p := range parts {
		b.WriteString(p.data)
	}
	return b.Bytes()
}

func TestTheVersionIsReadFromTheProgram(t *testing.T) {
	const constants = elf.PF_R
	const mark = "\x00mysqld-10.11\x00"
	for _, c := range []struct {
		name  string
		parts []part
		want  string
	}{
		{"among the constants", []part{{elf.PF_R | elf.PF_X, "code"}, {constants, "x\x00mysqld\x00server" + mark + "mariadb-10.11\x00"}}, "10.11"},
		{"of two digits each", []part{{constants, "\x00mysqld-12.10\x00"}}, "12.10"},
		{"across two windows", []part{{constants, strings.Repeat("x", programWindow-5) + mark}}, "10.11"},
		{"at the start of the second window", []part{{constants, strings.Repeat("x", programWindow) + mark}}, "10.11"},
		{"with constants among the instructions, as old linkers put them", []part{{elf.PF_R | elf.PF_X, mark}}, "10.11"},
		{"twice the same", []part{{constants, mark + mark}, {constants, mark}}, "10.11"},
		{"two that differ are not certain", []part{{constants, mark + "\x00mysqld-10.6\x00"}}, ""},
		{"in writable data it may be anything", []part{{elf.PF_R | elf.PF_W, mark}}, ""},
		{"part of another constant", []part{{constants, "\x00my mysqld-10.11\x00"}}, ""},
		{"no version", []part{{constants, "\x00mysqld-plugin\x00mysqld-10\x00mysqld-10.11.2\x00mysqld-\x00"}}, ""},
		{"more than a version can be", []part{{constants, "\x00mysqld-1" + strings.Repeat("0", 20) + ".1\x00"}}, ""},
		{"without an end", []part{{constants, strings.TrimSuffix(mark, "\x00")}}, ""},
		{"nothing", []part{{constants, ""}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := programSeries(bytes.NewReader(programOf(c.parts...))); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	for name, text := range map[string]string{"a script": "#!/bin/sh\nexec mariadbd" + mark, "an empty file": "", "a program that is cut off": string(programOf(part{constants, mark})[:100])} {
		t.Run(name, func(t *testing.T) {
			if got := programSeries(strings.NewReader(text)); got != "" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// What is read belongs to whoever made the file.
func FuzzProgramSeries(f *testing.F) {
	f.Add(programOf(part{elf.PF_R, "\x00mysqld-10.11\x00"}, part{elf.PF_R | elf.PF_X, "code"}))
	f.Add([]byte("\x7fELF\x02\x01"))
	f.Fuzz(func(t *testing.T, program []byte) {
		if s := programSeries(bytes.NewReader(program)); s != "" && (len(s) > maxSeries || !bytes.Contains(program, []byte(serverMark+s+"\x00"))) {
			t.Errorf("got %q", s)
		}
	})
}

// What no test can make up: that the real servers have the mark. Those of other
// releases are where `make versions` puts them.
func TestTheVersionsOfRealServers(t *testing.T) {
	servers, err := filepath.Glob(filepath.Join(versionsDir(t), "*/base/sbin/mariadbd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), usualServerDirs...) {
		if file := filepath.Join(dir, "mariadbd"); fileSeries(file) != "" {
			servers = append(servers, file)
			break
		}
	}
	if len(servers) == 0 {
		t.Skip("NOT TESTED: mariadbd is not installed")
	}
	for _, file := range servers {
		run := file
		if base, ok := strings.CutSuffix(file, "base/sbin/mariadbd"); ok {
			file = base + "root/usr/sbin/mariadbd"
		}
		out, err := exec.CommandContext(t.Context(), run, "--no-defaults", "--version").Output()
		m := regexp.MustCompile(` Ver (\d+\.\d+)\.`).FindStringSubmatch(string(out))
		if err != nil || m == nil {
			t.Fatalf("%s: %q, %v", run, out, err)
		}
		began := time.Now()
		if got := fileSeries(file); got != m[1] {
			t.Errorf("%s is read as %q, and says %q", file, got, out)
		}
		t.Logf("%s: %s, read in %v", file, m[1], time.Since(began))
	}
}

// versionsDir is the folder that e2e/versions.sh fills.
func versionsDir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "../e2e/versions.sh", "--where").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// trail is a made-up /proc with one mariadbd in it.
func trail(t *testing.T, datadir, program, line string) versionTrail {
	t.Helper()
	proc := t.TempDir()
	layFile(t, filepath.Join(proc, "12", "comm"), "bash\n")
	layFile(t, filepath.Join(proc, "345", "comm"), "mariadbd\n")
	layFile(t, filepath.Join(proc, "345", "cmdline"), line)
	for name, to := range map[string]string{"exe": program, "cwd": datadir} {
		if err := os.Symlink(to, filepath.Join(proc, "345", name)); err != nil {
			t.Fatal(err)
		}
	}
	return versionTrail{proc: proc}
}

func layFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheVersionOfARunningServer(t *testing.T) {
	dir := t.TempDir()
	program, other := filepath.Join(dir, "sbin/mariadbd"), filepath.Join(dir, "sbin/mysqld_safe")
	layFile(t, program, string(programOf(part{elf.PF_R, "\x00mysqld-10.11\x00"})))
	layFile(t, other, string(programOf(part{elf.PF_R, "\x00mysqld-11.8\x00"})))
	for _, c := range []struct {
		name, exe, line, want string
	}{
		{"by its program", program, "mariadbd\x00--user=mysql\x00", "10.11"},
		{"by its name where the program is hidden", dir + "/hidden", program + "\x00--user=mysql\x00", "10.11"},
		{"not by a name that is not of a server", dir + "/hidden", other + "\x00", ""},
		{"not by a name without a path", dir + "/hidden", "mariadbd\x00", ""},
		{"not by a loader that loads it", "/proc/self/exe", "/lib64/ld-linux.so\x00" + program + "\x00", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			datadir := t.TempDir()
			tr := trail(t, datadir, c.exe, c.line)
			if got := tr.process(345); got != c.want {
				t.Errorf("process: got %q, want %q", got, c.want)
			}
			if got := tr.running(datadir); got != c.want {
				t.Errorf("running there: got %q, want %q", got, c.want)
			}
			if got := tr.running(t.TempDir()); got != "" {
				t.Errorf("running elsewhere: got %q", got)
			}
		})
	}
	if got := (versionTrail{}).installed([]string{"", ".", "/none", filepath.Dir(program)}); got != "10.11" {
		t.Errorf("installed: got %q", got)
	}
}

func TestTheVersionThatDataWasUpgradedTo(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"from the old name", map[string]string{"mysql_upgrade_info": "10.6.21-MariaDB"}, "10.6"},
		{"from the new name, and the old one is stale", map[string]string{"mysql_upgrade_info": "10.6.21-MariaDB", "mariadb_upgrade_info": "11.4.5-MariaDB\n"}, "11.4"},
		{"from a file of one line", map[string]string{"mariadb_upgrade_info": "11.8.9-MariaDB-log\n"}, "11.8"},
		{"not from an empty one", map[string]string{"mariadb_upgrade_info": ""}, ""},
		{"not from something else", map[string]string{"mariadb_upgrade_info": "see 11.4"}, ""},
		{"from nothing", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				layFile(t, filepath.Join(dir, name), text)
			}
			if got := upgradedTo(dir); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := upgradedTo("/none"); got != "" {
		t.Errorf("without a data directory: %q", got)
	}
}
