package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// guarded names, for each row of the rule book's list of security (its section
// (c), by number), the tests that show it: a folder and a function. A row with a
// text shows it by saying so to the user.
var guarded = map[int][]string{
	1:  {"mailer TestEncryptionNeverFallsBack", "accounts TestPlainTextChecksThePeer", "accounts TestDialMailboxPlainOnlyHere"},
	2:  {"mailer TestCertificates", "accounts TestServersAndMechanisms", "accounts TestPinIsForOneKey"},
	3:  {"mailer TestEncryptionNeverFallsBack"},
	4:  {"mailer TestEncryptionNeverFallsBack", "accounts TestDialFailures", "accounts TestDoctor", "accounts TestDialMailbox", "accounts TestUnasked"},
	5:  {"accounts TestMechanisms", "accounts TestTokenNeverAsPassword", "accounts TestServersAndMechanisms", "accounts TestProxyNeverInTheClear"},
	6:  {"accounts TestDiscover", "accounts TestHostilePages"},
	7:  {"contacts TestAwkwardFiles", "compose TestValuesCannotInject", "compose TestRenderRefuses", "post TestParseAddress", "mailer TestEnvelopeLinesCannotBeBroken"},
	8:  {"compose TestDisplayNames", "compose TestPreflight", "contacts TestAwkwardFiles"},
	9:  {"compose TestCompiledEqualsReference", "compose TestRandomByPython", "mailer TestNothingNamesThisComputer"},
	10: {"compose TestValuesCannotInject", "compose TestWorkIsBounded", "compose TestCleanHTMLLeavesNothingThatRuns", "practice TestServe"},
	11: {"mailer TestEnvelopeNamesWhomTheMessageNames"},
	12: {"compose TestFileNames", "compose TestFolderRefuses"},
	13: {"contacts TestAwkwardFiles", "contacts TestRowLimitAndProgress"},
	14: {"contacts TestNoCellIsAFormula", "cli TestHarmless"},
	15: {"practice TestLinkInTheFolderIsReplacedNotFollowed", "contacts TestExportFile"},
	16: {"internal/e2e TestSecrets", "internal/e2e TestSecretsOfVaultAndTokens", "storage TestSealedSecretsStayHere", "accounts TestStoreNeverFallsBack"},
	17: {"internal/e2e TestSecrets", "internal/e2e TestSecretsOfVaultAndTokens"},
	18: {"docs/guide.md: Any program that runs as you can ask the keyring"},
	19: {"storage TestFilesArePrivate", "storage TestSyncedFolderIsTold"},
	20: {"storage TestErasedIsGone"},
	21: {"accounts TestReadReplyRefuses", "accounts TestReceivedCap", "mailer TestHostileRepliesCostNoMemory", "post TestNewReply"},
	22: {"post TestNewReply"},
	23: {"accounts TestEHLOIsBounded"},
	24: {"mailer TestUnaskedRepliesNeverCountAsSent", "accounts TestUnasked", "accounts TestReadReplyRefuses"},
	25: {"mailer TestNothingNamesThisComputer"},
	26: {"accounts TestAnswerDoor", "accounts TestRotationIsKeptBeforeUse", "accounts TestSignInWithBrowser"},
	27: {"mailer TestConnectionsInAll", "accounts TestGuard", "storage TestOutboxIsBounded", "mailer TestRefusedLocally", "mailer TestWaitsAreShort"},
}

// lastGuarded is the number of rows in the list.
const lastGuarded = 27

// TestEverySecurityRowIsShown holds that each row has a test, and that it is there.
func TestEverySecurityRowIsShown(t *testing.T) {
	for n := 1; n <= lastGuarded; n++ {
		if len(guarded[n]) == 0 {
			t.Errorf("no test shows row %d", n)
		}
		for _, shown := range guarded[n] {
			if file, text, said := strings.Cut(shown, ": "); said {
				if b, err := os.ReadFile(filepath.Join(top, file)); err != nil || !strings.Contains(string(b), text) {
					t.Errorf("row %d: %s does not say %q: %v", n, file, text, err)
				}
				continue
			}
			folder, function, _ := strings.Cut(shown, " ")
			if !hasTest(t, folder, function) {
				t.Errorf("row %d is to be shown by %s in %s, which is not there", n, function, folder)
			}
		}
	}
	if len(guarded) != lastGuarded {
		t.Errorf("%d rows, the list has %d", len(guarded), lastGuarded)
	}
}

// hasTest reports whether a folder's tests have a function of that name.
func hasTest(t *testing.T, folder, function string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(top, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	is := regexp.MustCompile(`(?m)^func ` + function + `\(t \*testing\.T\)`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if is.Match(b) {
			return true
		}
	}
	return false
}
