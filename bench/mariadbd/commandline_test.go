package mariadbd

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The examples are captures: sst-contract.md, section 2, "Quoting".
func TestWordsAreWrittenAsMariadbdDoes(t *testing.T) {
	for _, c := range []struct {
		name string
		word word
		want string
	}{
		{"a value before --mysqld-args", quoted("/var/lib/node 2/"), `'/var/lib/node 2/'`},
		{"an argument with nothing in it to quote", hinted("--log-output=file"), `--log-output=file`},
		{"a blank in the value", hinted("--datadir=/var/lib/node 2"), `--datadir="/var/lib/node 2"`},
		{"a semicolon in the value", hinted("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:5567;ist.recv_addr=127.0.0.1:5568"),
			`--wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:5567;ist.recv_addr=127.0.0.1:5568"`},
		{"everything at once", hinted(`--init-connect=SET @x='a b'; SET @y="c$HOME\d"`), `--init-connect="SET @x='a b'; SET @y=\"c\$HOME\\d\""`},
		{"an argument without a value", hinted("a b"), `"a b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.word.shell != c.want {
				t.Errorf("got %s, want %s", c.word.shell, c.want)
			}
		})
	}
}

// Whatever way a program is started, through sh or directly, it sees the same words.
func TestShSeesTheSameWords(t *testing.T) {
	words := []word{plain("printf"), plain(`'%s\n'`), plain("--role"), quoted("joiner"), quoted(`/a "b" $c \d #e`),
		plain("--mysqld-args"), hinted(`--init-connect=SET @x='a b'; SET @y="c$HOME\d"`), hinted("--x=1"), hinted("--y=a&b|c<d>e"), hinted(`--z=\`)}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", shellLine(words)).Output()
	if err != nil {
		t.Skipf("NOT TESTED: no sh: %v", err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if want := texts(words)[2:]; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
