package mailer

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rows are the rows of the rule book's table of events that a case shows.
type rows []int

// String returns the rows for a test's name, e.g. "17" or "36,59".
func (r rows) String() string {
	words := make([]string, len(r))
	for i, n := range r {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ",")
}

const lastRow = 61

// neverJudged are the rows about the machine, the clock and the schedule: they
// do not reach Judge.
var neverJudged = rows{44, 45, 46, 47, 48, 49, 50, 51, 54, 55, 56}

// shownBy names, for the rows that no table of conversations holds, or that
// need more than one message to show, the tests that show them: a folder and a
// function.
var shownBy = map[int][]string{
	1:  {"../accounts TestResolveAndConnect"},
	2:  {"../accounts TestResolveAndConnect"},
	3:  {"../accounts TestResolveAndConnect", "../accounts TestNextAddress", "../accounts TestConnectTimesOut", ". TestNextAddressIsTried"},
	4:  {". TestFewerConnections"},
	7:  {". TestCertificates", "../accounts TestDialFailures"},
	9:  {". TestEncryptionNeverFallsBack"},
	12: {"../accounts TestGuard"},
	16: {"../accounts TestSecretComesFirst", "../internal/e2e TestKeyring"},
	17: {". TestLearnsMessagesPerConnection", ". TestOneAddressDoesNotBlockTheOthers"},
	18: {". TestStoppedAccountsSendNothingMore", ". TestSuccessEndsAWait"},
	19: {". TestDailyQuotaNeverFails", ". TestStoppedAccountsSendNothingMore"},
	20: {". TestFiveDomainsStopTheAccount", ". TestStoppedAccountsSendNothingMore", ". TestFailOver"},
	21: {". TestSameRefusalInARow"},
	22: {". TestSameRefusalInARow", ". TestRefusedLocally"},
	27: {". TestNoSuchMailboxIsNotMailedAgain"},
	31: {". TestRefusedRecipientAnd354", ". TestRefusedSenderAndAcceptedRecipient"},
	33: {". TestRendering"},
	34: {". TestInTheBody"},
	37: {". TestRefusedLocally"},
	38: {". TestContentPausesTheMailing"},
	39: {". TestUncertainPileUpStopsTheAccount", ". TestHostileRepliesCostNoMemory"},
	40: {". TestIdleConnectionGone"},
	41: {". TestUnaskedRepliesNeverCountAsSent", ". TestBrokenPipelining"},
	43: {". TestInTheBody", "../accounts TestFloorRate", "../accounts TestStalledWrite"},
	44: {". TestLedgerTroubleSendsNothing"},
	45: {". TestLedgerTroubleSendsNothing", "../storage TestFullDisk"},
	46: {". TestResultsAreKeptUntilTheyAreWritten"},
	47: {". TestLedgerTroubleSendsNothing", "../storage TestOpenRefusesWhatIsNotALedger"},
	48: {". TestRecover", ". TestThreeCrashesHoldARow", "../internal/e2e TestCrash"},
	49: {". TestQuotaHoldsOverRestarts"},
	50: {". TestClockSetBackKeepsNobodyWaiting", ". TestQuotaClockSetBack"},
	51: {". TestWaitsAreShort"},
	52: {". TestNetworkGoneAndBack"},
	53: {". TestOrderlyStop", ". TestForcedStop", ". TestStopAtRandomMoments"},
	54: {". TestRefusedIntentsNeverGetADot", "../storage TestIntentIsRefused"},
	55: {". TestGivenUpAfterTheDeadline"},
	56: {"../assets/words TestSentMeansTakenByYourServer"},
	58: {". TestSameRefusalInARow"},
	60: {"../accounts TestReadReplyRefuses"},
}

// TestEveryRowIsShown: each row of the book is a case of the table of verdicts,
// where it is about one, and is shown over a socket or by the named test, which
// has to be there.
func TestEveryRowIsShown(t *testing.T) {
	judged, talked := map[int]int{}, map[int]int{}
	count := func(to map[int]int, r rows) {
		if len(r) == 0 {
			t.Error("a case without a row")
		}
		for _, n := range r {
			to[n]++
		}
	}
	for _, c := range judgeCases() {
		count(judged, c.rows)
	}
	for _, c := range faultCases() {
		count(talked, c.rows)
	}
	for _, c := range dialCases() {
		count(talked, c.rows)
	}
	for _, c := range bodyCases() {
		count(talked, c.rows)
	}
	for n, tests := range shownBy {
		for _, name := range tests {
			folder, function, _ := strings.Cut(name, " ")
			if !isTest(t, folder, function) {
				t.Errorf("row %d is to be shown by %s in %s, which is not there", n, function, folder)
				continue
			}
			talked[n]++
		}
	}
	for n := 1; n <= lastRow; n++ {
		if judged[n] == 0 != slices.Contains(neverJudged, n) {
			t.Errorf("row %d has %d cases in the table of verdicts", n, judged[n])
		}
		if talked[n] == 0 {
			t.Errorf("no test shows row %d", n)
		}
		delete(judged, n)
		delete(talked, n)
	}
	if len(judged)+len(talked) > 0 {
		t.Errorf("the book has no such rows: %v %v", judged, talked)
	}
}

// isTest reports whether a folder's tests have a function of that name.
func isTest(t *testing.T, folder, function string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("look for tests in %s: %d files, %v", folder, len(files), err)
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
