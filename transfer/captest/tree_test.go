package captest

import (
	"crypto/sha256"
	"fmt"
	"path"
	"strings"
)

// gen is the contents rule of the captures' README.
func gen(name string, n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s:%d", name, i))
		b.Write(sum[:])
	}
	return b.String()[:n]
}

const magic = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee:%d 0-1-%d\n"

// source is what the clients pushed: contents by module ("" or "-log_dir" at its end) and path.
func source() map[string]string {
	return map[string]string{
		":ibdata1":              gen("ibdata1", 9000),
		":ib_lru_dump":          gen("ib_lru_dump", 300),
		":undo001":              gen("undo001", 1500),
		":wsrep_sst_binlog.tar": gen("wsrep_sst_binlog.tar", 64),
		":rsync_sst_complete":   fmt.Sprintf(magic, 42, 42),
		":db1/t1.ibd":           gen("t1.ibd", 21000),
		":db1/t1.frm":           gen("t1.frm", 900),
		":db1/t2.ibd":           gen("t2.ibd", 8000),
		":db1/odd\xff \n.ibd":   gen("odd", 10),
		":db1/ib_logfile9":      "NOT excluded by */ib_logfile* (top of transfer)\n",
		":db1/sub/deep.ibd":     gen("deep.ibd", 100),
		":db1/sub/zero.ibd":     "",
		":db1/huge.ibd":         "", // only in e-big

		"-log_dir:ib_logfile0":       gen("ib_logfile0", 2100),
		"-log_dir:ib_logfile1":       gen("ib_logfile1", 701),
		"-log_dir:aria_log.00000001": gen("aria_log.00000001", 1400),
		"-log_dir:aria_log_control":  gen("aria_log_control", 52),
	}
}

// destination is what the delta sessions found.
func destination() map[string]string {
	src := source()
	t1, t2 := src[":db1/t1.ibd"], src[":db1/t2.ibd"]
	return map[string]string{
		":ibdata1":                   src[":ibdata1"][:2000] + gen("patch", 100) + src[":ibdata1"][2100:],
		":undo001":                   src[":undo001"],
		":rsync_sst_complete":        fmt.Sprintf(magic, 41, 41),
		":db1/t1.frm":                src[":db1/t1.frm"],
		":db1/t1.ibd":                t1[:5000] + gen("ins", 37) + t1[5000:20000],
		":db1/t2.ibd":                t2[:3000] + t2[3037:],
		":db1/sub/deep.ibd":          src[":db1/sub/deep.ibd"][:50],
		"-log_dir:ib_logfile0":       src["-log_dir:ib_logfile0"][:1400] + gen("p2", 700),
		"-log_dir:aria_log.00000001": src["-log_dir:aria_log.00000001"],
	}
}

// key is where a file of this session stands in those maps.
func (s *session) key(name string) string {
	last := s.args[len(s.args)-1] // module/path
	_, dir, _ := strings.Cut(last, "/")
	module := ""
	if strings.HasSuffix(s.module, "-log_dir") {
		module = "-log_dir"
	}
	return module + ":" + path.Join(dir, name)
}
