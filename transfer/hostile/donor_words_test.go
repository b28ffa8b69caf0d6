package hostile

import "strings"

// What a donor may say at the wrong time, in the wrong place, or never.

func badWords() (out []attack) {
	for _, args := range [][]string{
		{"--sender"}, {"--daemon"}, {"--partial-dir=/tmp"}, {"--backup-dir=../outside"}, {"--temp-dir=../outside"}, {"--link-dest=/"}, {"--copy-dest=/"},
		{"--compare-dest=/"}, {"--files-from=/etc/passwd"}, {"--max-alloc=0"}, {"--log-file=../outside/log"}, {"--append"}, {"--write-devices"}, {"--copy-devices"},
		{"--remove-source-files"}, {"--only-write-batch=x"}, {"--fake-super"}, {"--iconv=utf8"}, {"--usermap=*:root"}, {"--chown=root"}, {"--munge-links"}, {"--keep-dirlinks"},
		{"--groupmap=*:0"}, {"--suffix=../x"}, {"-b"}, {"-A"}, {"-X"}, {"-H"}, {"-K"}, {"-k"}, {"-L"}, {"-R"}, {"-x"}, {"-y"}, {"-z"}, {"-n"}, {"-u"}, {"-U"}, {"-N"}, {"x"}, {"-"},
		{"--compress-threads=1000"}, {"--timeout=99999999999"}, {"--timeout=-1"}, {"--timeout"}, {"--checksum-seed=x"}, {"--checksum-choice=xxh128,md5"},
	} {
		out = append(out, attack{name: "argument " + args[0], want: "on remote machine", what: [][]field{
			cat(opened(append(args, cluster)...), list(root))}})
	}
	return append(out,
		attack{name: "arguments in seclusion", want: "on remote machine", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", "-se.LsfxCIvu", ""), argsOf("rsync", "--sender", cluster, ".", "m/", ""), []field{{kVString, 0, "xxh128"}, {kMux, 32, ""}}, list(root))}},
		attack{name: "no destination", want: "destination", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", cluster, ".", ""), []field{{kVString, 0, "xxh128"}, {kMux, 32, ""}}, list(root))}},
		attack{name: "two destinations", want: "destination", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", cluster, ".", "m/", "/etc/", ""), []field{{kVString, 0, "xxh128"}, {kMux, 32, ""}}, list(root))}},
		attack{name: "destination with wild cards", want: "", what: [][]field{cat(openedTo("m/o*t/", cluster), list(root, link("x", "y")), goodbye())}},
		attack{name: "checksum that is none", want: "common", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", cluster, ".", "m/", ""), []field{{kVString, 0, "none"}})}},
		attack{name: "checksum names without end", want: "255", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", cluster, ".", "m/", ""), []field{{kVString, 0, strings.Repeat("md5 ", 5000)}})}},
	)
}

func argsOf(args ...string) (f []field) {
	for _, a := range args {
		f = append(f, field{kArgs, 0, a})
	}
	return f
}

func badData() []attack {
	file := func(what, want string, data ...[]field) attack {
		return attack{name: "data " + what, want: want, what: [][]field{cat(normal(), list(root, entry("x", regular, 10)), cat(data...))}}
	}
	// Without -W and with an old file there the victim sends block sums: 700 bytes each, 58 of them.
	delta := func(what, want string, head []int64, tokens ...int64) attack {
		return attack{name: "delta " + what, want: want, what: [][]field{cat(normal(), list(root, entry("old.ibd", regular, 40_000)),
			index(1), []field{{kShort, 0x8000, ""}}, ints(head...), ints(tokens...), bytesOf(noDigest))}}
	}
	old := []int64{58, 700, 2, 100}
	return []attack{
		file("of a file that is not in the list", "of 2", index(2)),
		file("of file number 2^31", "of 2", index(1<<31-1)),
		file("of a negative file", "of 2", index(-5)),
		file("of a further list", "of 2", index(-101)),
		file("of a directory", "not asked for", reply(0, none, nil, emptyDigest)),
		file("that came already", "not asked for", reply(1, none, nil, emptyDigest), reply(1, none, nil, emptyDigest)),
		file("without the flag", "flags", index(1), []field{{kShort, 0, ""}}),
		file("from a basis of the sender's choice", "flags", index(1), []field{{kShort, 0x8800, ""}, {kByte, 0x83, ""}}),
		file("from a basis of another name", "flags", index(1), []field{{kShort, 0x9000, ""}, {kVString, 0, "../outside/canary"}}),
		file("with another head", "another sum head", reply(1, []int64{10, 700, 2, 0}, nil, emptyDigest)),
		file("with a negative count", "17.1", reply(1, []int64{-1, 700, 2, 0}, nil, emptyDigest)),
		file("with blocks of no length", "17.1", reply(1, []int64{5, 0, 2, 0}, nil, emptyDigest)),
		file("with blocks that are too long", "17.1", reply(1, []int64{1, 131073, 2, 0}, nil, emptyDigest)),
		file("with digests longer than there are", "17.1", reply(1, []int64{1, 700, 17, 0}, nil, emptyDigest)),
		file("with a negative digest", "17.1", reply(1, []int64{1, 700, -1, 0}, nil, emptyDigest)),
		file("with a last block longer than a block", "17.1", reply(1, []int64{1, 700, 2, 701}, nil, emptyDigest)),
		file("from a block where there are none", "17.1", reply(1, none, ints(-1), emptyDigest)),
		file("of 2 GiB in one token that do not come", "unexpected EOF", reply(1, none, cat(ints(1<<31-1), bytesOf("abc")), "")),
		file("from block 2^31", "17.1", reply(1, none, ints(-1<<31), emptyDigest)),
		file("that never fits its digest", "", reply(1, none, nil, noDigest), index(-1), pause(), reply(1, none, nil, noDigest), index(-1), index(-1), pause(), index(-1), pause()),
		file("that is sent a third time", "not asked for", reply(1, none, nil, noDigest), index(-1), pause(), reply(1, none, nil, noDigest), reply(1, none, nil, noDigest)),
		file("after the end", "after the end", reply(1, none, nil, emptyDigest), index(-1), index(-1), reply(1, none, nil, emptyDigest)),
		delta("from the block behind the last", "block 58", old, -59),
		delta("from block 2^31-1", "block", old, -1<<31),
		delta("with another head", "another sum head", []int64{59, 700, 2, 100}, -1),
		{name: "delta to the same block without end", want: "", what: [][]field{cat(normal(), list(root, entry("old.ibd", regular, 40_000)),
			index(1), []field{{kShort, 0x8000, ""}}, ints(old...), repeat(20_000, field{kInt, -1, ""}), ints(0), bytesOf(noDigest), goodbye())}},
	}
}

func badMessages() []attack {
	after := func(what, want string, m ...[]field) attack {
		return attack{name: "message " + what, want: want, what: [][]field{cat(normal(), list(root, entry("x", regular, 0)), cat(m...))}}
	}
	num := func(n uint32) string { return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}) }
	return []attack{
		after("of no kind", "unknown message", message(9, "")),
		after("of an inner kind", "unknown message", message(10, num(1))),
		after("with a header that is none", "header", bytesRaw("\x00\x00\x00\x00")),
		after("of 16 MiB", "bytes", bytesRaw("\xff\xff\xff\x09")),
		after("that is too long", "bytes", message(2, strings.Repeat("x", 5200))),
		after("NO_SEND of 3 bytes", "bytes", message(102, "abc")),
		after("NO_SEND for a file of no list", "not asked for", message(102, num(7))),
		after("NO_SEND for a negative file", "not asked for", message(102, num(1<<32-1))),
		after("NO_SEND for a directory", "not asked for", message(102, num(0))),
		after("NO_SEND again and again", "not asked for", repeat(1000, message(102, num(1))...)),
		after("NO_SEND before the list", "not asked for", message(102, num(1)), message(102, num(1))),
		after("IO_ERROR of 5 bytes", "bytes", message(22, "abcde")),
		after("ERROR_EXIT of 3 bytes", "bytes", message(86, "abc")),
		after("NOOP with something in it", "bytes", message(42, "x")),
		after("of text without end", "", repeat(30_000, message(3, "lies\x1b[2J\nand more lies")...), reply(1, none, nil, emptyDigest), goodbye()),
		after("of nothing without end", "", repeat(100_000, message(0, "")...), reply(1, none, nil, emptyDigest), goodbye()),
		after("that it is all over", "gave up", message(86, num(0))),
		{name: "message NO_SEND in the middle of the list", want: "not asked for", what: [][]field{cat(normal(), root, message(102, num(1)))}},
	}
}

// bytesRaw goes around the frames.
func bytesRaw(s string) []field {
	// A message writes its header from the tag: what is wanted lies in the payload of an empty keep-alive.
	return []field{{kMessage, 0, ""}, {kMessage, rawTag, s}}
}

// rawTag makes a message consist of its payload alone.
const rawTag = 1 << 20

func badLines() (out []attack) {
	for text, want := range map[string]string{
		"@RSYNCD: 29.0": "protocol", "@RSYNCD: 41.0 md5": "protocol", "@RSYNCD: 32": "subprotocol", "@RSYNCD: 32.0": "", "GET / HTTP/1.1": "greeting",
		"@RSYNCD: -1.0": "greeting", "@RSYNCD: 99999999999.0 md5": "greeting", "@RSYNCD: 32.0 \x1b[2J": "unprintable", "@ERROR: no": "refused",
	} {
		if want == "" {
			want = "digest"
		}
		out = append(out, attack{name: "greeting " + text, want: want, what: [][]field{cat(line(text), line("m"))}})
	}
	for text, want := range map[string]string{
		"../outside": "unknown module", "m/../outside": "unknown module", "m/": "unknown module", "M": "unknown module", "#shell": "unknown command", "#early_input=99999": "early_input",
		"#early_input=-1": "early_input", "a\x00b": "NUL",
	} {
		out = append(out, attack{name: "module " + text, want: want, what: [][]field{cat(line("@RSYNCD: 32.0 md5"), line(text))}})
	}
	return out
}
