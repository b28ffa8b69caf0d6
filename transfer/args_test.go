package transfer

import "testing"

func TestSizesAreReadAsRsyncWritesThem(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "16k": 16 << 10, "16K": 16 << 10, "16KiB": 16 << 10, "16kb": 16_000, "3m": 3 << 20, "2G": 2 << 30, "1t": 1 << 40, "1P": 1 << 50, "7b": 7,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "-1", "1.5m", "1x", "1kk", "10m+1", "9999999p", "1ib", "99999999999999999999"} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, n)
		}
	}
}
