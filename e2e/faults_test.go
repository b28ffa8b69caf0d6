package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// How a fault is made.
const (
	servers = "real: mariadbd nodes"
	program = "program: ours as mariadbd starts it, a real fault, and no server"
	kernel  = "kernel: as program, and strace answers system calls with the error"
	seam    = "seam: inside the program, a part is told to fail"
)

// faults is the list of what can happen to an SST, and the test that makes it happen and looks at both sides: exit
// status, words in the logs, the lock, the state of the data directory, and the next attempt. A name is
// package.Test or package.Test/part of it.
var faults = []struct{ fault, how, test string }{
	{"connections cut at 1 % of the copy", program, "sst.TestConnectionsCutAtAnyPoint"},
	{"connections cut at 50 % of the copy", program, "sst.TestConnectionsCutAtAnyPoint"},
	{"connections cut at 99 % of the copy", program, "sst.TestConnectionsCutAtAnyPoint"},
	{"connections cut twenty times at random", program, "sst.TestAnSSTWhoseConnectionsAreCutGoesOn"},
	{"connections cut under the lock", program, "sst.TestConnectionsCutUnderTheLock"},
	{"one of several connections cut", program, "sst.TestOneOfSeveralConnectionsIsCut"},
	{"joiner out of reach under the lock", program, "sst.TestAJoinerThatIsGoneUnderTheLock"},
	{"link dead without a reset, before the lock", program, "sst.TestALinkThatIsDead/before the lock"},
	{"link dead without a reset, under the lock", program, "sst.TestALinkThatIsDead/under the lock"},
	{"link dead without a reset", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the link is dead, without a word"},

	{"the association of DTLS cut at 50 % of the copy", program, "sst.TestAnAssociationThatIsCutInTheMiddle"},
	{"a link over UDP that is dead", program, "sst.TestALinkOverUDPThatIsDead"},
	{"bad certificates over DTLS", program, "sst.TestCertificatesThatDoNotFitOverDTLS"},
	{"one of the nodes only has transport=dtls", program, "sst.TestOneEndOnlySpeaksDTLS"},

	{"SIGKILL of the donor's program", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the donor's program is killed"},
	{"SIGKILL of the donor's program, onto a former member", program, "sst.TestDonorKilledInTheMiddle"},
	{"SIGTERM of the donor's program", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the donor's program is asked to end"},
	{"signals to the donor's program while it waits for the lock", program, "sst.TestEndByASignalWhileTheDonorWaits"},
	{"SIGTERM of either program, told to the other", program, "sst.TestSignalInTheMiddleIsToldToTheOtherSide"},
	{"SIGSTOP of the donor's program", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the donor's program is stopped"},
	{"SIGSTOP of either program under the lock", program, "sst.TestAStoppedPeerIsGivenUp"},
	{"SIGKILL of the joiner's program at any point of the copy", servers, "e2e.TestJoinerKilledAtAnyPointOfTheCopy"},
	{"SIGKILL of the joiner's program between renames", servers, "e2e.TestJoinerKilledBetweenRenames"},
	{"SIGKILL of the joiner's program, leftovers of it", program, "sst.TestJoinerKilledInTheMiddle"},
	{"SIGTERM of the joiner's program", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the joiner's program is asked to end"},
	{"SIGSTOP of the joiner's program", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the joiner's program is stopped"},
	{"SIGKILL of the donor's mariadbd", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the donor's mariadbd is killed"},
	{"SIGTERM of the donor's mariadbd", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the donor's mariadbd is asked to end"},
	{"SIGKILL of the joiner's mariadbd", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the joiner's mariadbd is killed"},
	{"SIGTERM of the joiner's mariadbd", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the joiner's mariadbd is asked to end"},
	{"SIGSTOP of the joiner's mariadbd", servers, "e2e.TestAfterEachFailureTheNodeJoinsUnaided/the joiner's mariadbd is stopped"},
	{"SIGKILL of either mariadbd while nothing is sent", program, "sst.TestMariadbdKilled"},
	{"a broken transfer again and again into one directory", servers, "e2e.TestBrokenTransferLeavesADirectoryThatTheNextStartRefills"},
	{"the donor's mariadbd closes its socket", seam, "sst.TestEndOfTheSocketIsTheEndOfMariadbd"},

	{"joiner's disk full, a small tmpfs", servers, "e2e.TestTheDiskOfARealJoinerIsFull"},
	{"joiner's disk full, a small tmpfs, without a server", program, "sst.TestTheJoinersDiskFullInTheMiddle"},
	{"too little space, seen before", program, "sst.TestTooLittleSpaceIsSeenBefore"},
	{"no room for the write-set queue", seam, "sst.TestSpaceLeavesRoomForTheWriteSetQueue"},
	{"read-only file system", program, "sst.TestAReadOnlyFileSystem"},
	{"quota", kernel, "sst.TestTheJoinersDiskFails/quota"},
	{"EIO while the joiner writes", kernel, "sst.TestTheJoinersDiskFails/EIO while writing"},
	{"EIO when all is written to the disk", kernel, "sst.TestTheJoinersDiskFails/EIO when all is written to the disk"},
	{"EIO at the last renames", kernel, "sst.TestTheJoinersDiskFails/EIO at the last renames"},
	{"each step of the end fails", seam, "sst.TestFinishFailingAtEachStep"},
	{"EIO while the donor reads, once", kernel, "sst.TestTheDonorsDiskFails/once"},
	{"EIO while the donor reads, always", kernel, "sst.TestTheDonorsDiskFails/always"},
	{"EIO while the donor reads for a script, once", seam, "sst.TestAReadErrorTowardsAScriptIsTriedAgain"},
	{"EIO while the donor reads for a script, always", kernel, "sst.TestTheDonorsDiskFailsTowardsAScript"},
	{"file vanishing", program, "sst.TestAFileOfTheDonorsVanishes"},
	{"files of all kinds change, vanish and come while they are copied", seam, "sst.TestTortureOfTheFilesWhileTheyAreCopied"},
	{"a general log in a table that grows under the lock", program, "sst.TestLogTablesMayGrowUnderTheLock"},
	{"a general log in a table, and a donor at work", servers, "e2e.TestTortureOfTheDonorWhileItIsCopied"},

	{"donor's flush failing (sst_error)", program, "sst.TestMariadbdThatCannotLock"},
	{"a second SST at once", program, "sst.TestSecondRunOnOneDirectory"},
	{"stale leftovers of every kind", program, "sst.TestStaleLeftoversOfEveryKindDoNotBlock"},
	{"stale leftovers whose process numbers went to others", seam, "sst.TestLeftoversOfScriptsThatAreGoneAreRemoved"},
	{"leftovers that belong to somebody", seam, "sst.TestWhatMayBelongToSomebodyStays"},
	{"port taken", program, "sst.TestPortTaken"},
	{"port taken", servers, "e2e.TestMistakesEndTheTransferBeforeAnyHarm/the joiner's port is taken by another program"},
	{"bad certificates", program, "sst.TestCertificatesThatDoNotFit"},
	{"files of certificates that are not there", program, "sst.TestWrongFilesEndTheJoinerBeforeReady"},
	{"page sizes that do not fit", program, "sst.TestJoinerThatWillNotTakeTheState"},
	{"servers that do not fit", program, "sst.TestServersThatDoNotFit"},
	{"clock stepped", seam, "sst.TestAStepOfTheClockIsRemembered"},
	{"donor's stderr unread", program, "sst.TestStderrThatNobodyReads"},
	{"stdout unread", program, "sst.TestStdoutThatNobodyReads"},
	{"200 garbage connections during an SST", program, "sst.TestGarbageConnectionsDuringAnSST"},
	{"strangers at the joiner's port during an SST", program, "sst.TestStrangersDoNotDisturbAnSST"},
	{"option files that cannot be read", program, "sst.TestBrokenOptionFilesEndBothRoles"},
	{"a kernel that refuses landlock, no_new_privs and pidfd", seam, "sst.TestAKernelThatRefuses"},
	{"EPERM for landlock", kernel, "sst.TestSystemCallsThatAreNotAllowed"},
	{"EPERM for pidfd", kernel, "sst.TestSystemCallsThatAreNotAllowed"},
}

// The list names tests that are there, and every test about faults is in the list.
func TestTheListOfFaultsIsWhole(t *testing.T) {
	found := map[string][]string{} // tests and the texts in their files
	about := []string{}            // tests of files about faults
	for pkg, dir := range map[string]string{"sst": "../sst", "e2e": "."} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, file := range files {
			tests, texts := testsIn(t, file)
			for _, name := range tests {
				found[pkg+"."+name] = texts
				switch base := filepath.Base(file); {
				case strings.HasPrefix(base, "fault_"), strings.HasPrefix(base, "failures_"), strings.HasPrefix(base, "killed_"), strings.HasPrefix(base, "leftovers_"):
					about = append(about, pkg+"."+name)
				}
			}
		}
	}
	named := map[string]bool{}
	for _, f := range faults {
		name, part, _ := strings.Cut(f.test, "/")
		texts, there := found[name]
		if !there || part != "" && !slices.Contains(texts, part) {
			t.Errorf("%s: there is no %s", f.fault, f.test)
		}
		if f.how == servers && !strings.HasPrefix(name, "e2e.") || f.how != servers && strings.HasPrefix(name, "e2e.") {
			t.Errorf("%s: %s is not %s", f.fault, f.test, f.how)
		}
		named[name] = true
	}
	// They are about what goes well.
	for _, name := range []string{"sst.TestBinlogsComeAlong"} {
		named[name] = true
	}
	for _, name := range about {
		if !named[name] {
			t.Errorf("%s is in no row", name)
		}
	}
	for _, f := range failures {
		if !slices.ContainsFunc(faults, func(row struct{ fault, how, test string }) bool { return strings.HasSuffix(row.test, "/"+f.name) }) {
			t.Errorf("%s is in no row", f.name)
		}
	}
}

// testsIn gives the tests of a file, and all texts in it.
func testsIn(t *testing.T, file string) (tests, texts []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && strings.HasPrefix(n.Name.Name, "Test") && n.Name.Name != "TestMain" {
				tests = append(tests, n.Name.Name)
			}
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				texts = append(texts, s)
			}
		}
		return true
	})
	return tests, texts
}
