package db

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// pgServer is the server that the suite runs on. Each test has databases of its
// own, copied from one that was made once.
type pgServer struct {
	admin    *sql.DB
	template *url.URL
	mu       sync.Mutex
	made     map[string]bool
	state    string
	seen     sync.Map // the statements that the tests ran
	whole    bool     // and that these were all tests of the store
	citus    bool     // a cluster, where each test has a schema of its own
}

// asOwner is the address of a database for whoever owns its tables.
func (p *pgServer) asOwner(database string) string {
	u := *p.template
	u.Path, u.User = "/"+database, url.User("postgres")
	return u.String()
}

// saw takes a statement that the store ran for a test. What a test asks by itself is
// none of the store's.
func (p *pgServer) saw(statement string) {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for {
		frame, more := frames.Next()
		name := filepath.Base(frame.File)
		ours := strings.Contains(frame.Function, "/internal/db.") && !strings.HasSuffix(frame.Function, ".eachRow") && name != "postgres_driver.go" && name != "postgres_test.go"
		if ours && strings.HasSuffix(name, "_test.go") {
			return
		}
		if ours || !more {
			p.seen.Store(statement, true)
			return
		}
	}
}

// trace is for the options of a store of a test.
func trace() func(string) {
	if onPostgres == nil {
		return nil
	}
	return onPostgres.saw
}

// onPostgres is the server of the tests that run on PostgreSQL just now.
var onPostgres *pgServer

// address is where the database is that a test calls by a path: the file itself,
// or a database of the server where the test runs on PostgreSQL.
func address(t testing.TB, path string) string {
	t.Helper()
	if onPostgres == nil || strings.HasPrefix(path, "postgres://") {
		return path
	}
	return onPostgres.address(t, path)
}

// stateDir is the folder for what a test keeps beside its databases: the same one
// for all of a test.
func stateDir(t testing.TB) string {
	if onPostgres == nil {
		return ""
	}
	return filepath.Join(onPostgres.state, strings.ReplaceAll(t.Name(), "/", "-"))
}

// OnPostgres makes the tests that follow within t run on a server of its own.
func OnPostgres(t *testing.T) {
	p := startPostgres(t)
	onPostgres = p
	t.Cleanup(func() {
		onPostgres = nil
		p.lint(t, p.whole)
	})
}

// Address, StateDir and Trace are for the tests outside of this package.
func Address(t testing.TB, path string) string { return address(t, path) }
func StateDir(t testing.TB) string             { return stateDir(t) }
func Trace() func(string)                      { return trace() }

func startPostgres(t *testing.T) *pgServer {
	t.Helper()
	admin, at := pgtest.Start(t)
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	p := &pgServer{admin: admin, template: u, made: map[string]bool{}, state: t.TempDir()}
	if _, err := admin.Exec("CREATE DATABASE template_audit"); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), p.url("template_audit"), Options{Schema: auditadmin.Schema, StateDir: p.state, Now: func() time.Time { return noon }, Trace: p.saw})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pgServer) url(database string) string {
	u := *p.template
	u.Path = "/" + database
	return u.String()
}

func (p *pgServer) address(t testing.TB, path string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(path))
	name := "t" + hex.EncodeToString(sum[:8])
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made[name] {
		return p.at(name)
	}
	if p.citus {
		p.distribute(t, name)
	} else if _, err := p.admin.Exec("CREATE DATABASE " + name + " TEMPLATE template_audit"); err != nil {
		t.Fatal(err)
	}
	p.made[name] = true
	t.Cleanup(func() { p.drop(name) })
	return p.at(name)
}

// at is the address of a database of a test, or of its schema.
func (p *pgServer) at(name string) string {
	if !p.citus {
		return p.url(name)
	}
	u := *p.template
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// distribute makes the tables of a test in a schema of the cluster.
func (p *pgServer) distribute(t testing.TB, schema string) {
	t.Helper()
	if _, err := p.admin.Exec("CREATE SCHEMA " + schema); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), p.at(schema), Options{Schema: auditadmin.Schema, StateDir: p.state, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if done, err := Distribute(t.Context(), p.at(schema), 8); err != nil || len(done) != 4 {
		t.Fatalf("got %v, %v, want four tables distributed", done, err)
	}
}

func (p *pgServer) drop(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	statement := "DROP DATABASE " + name + " WITH (FORCE)"
	if p.citus {
		statement = "DROP SCHEMA " + name + " CASCADE"
	}
	_, _ = p.admin.Exec(statement) // the server goes soon
	delete(p.made, name)
}

// shared is the suite of the store: it runs on SQLite as it stands, and once more
// on PostgreSQL.
var shared = []func(*testing.T){
	TestFirstMicrosecond, TestVerifyFindsNothingWhereNothingIsWrong, TestCheckpointsGoOn, TestVerifiedUpTo,
	TestEverythingIsVerifiedInTime, TestOneVerificationAtATime, TestCheckpointsAreThinned, TestSignaturesOfWitnessesStay, TestStrangeText, TestOpenWhileAnotherMakesIt, TestOpenWithoutATable, TestFirstSince,
	TestPagesOfLargeEvents, TestLotsFollowTheLedger, TestLotLeftBehind, TestPurge, TestPurgeLeavesNothing, TestHolds, TestHeldWithoutTheTextIndex, TestHoldsThatCannotBeRead, TestTakenBetween, TestPurgeKeepsFreshTraces,
	TestPurgeStops, TestPurgedIDsAreNobodys, TestRedactionGoesWithItsEvent, TestRedactionByAnother, TestRefreshThatFailsHalfWay, TestFrequentTextRemembersWithinBounds,
	TestRetention, TestClaimRetention, TestSealedSegmentsAgreeWithTheRows, TestDeletedWordsAreInNoFile, TestSelectionsAgreeWithTheRows,
	TestLateEventsStandWhereTheyBelong, TestCursorsAtTheEnds, TestFacetLeavesOutItsOwnTerms, TestSieveNamesTheFilter, TestTimelineFollowsTheZone,
	TestSummaryCounts, TestNeighbours, TestAppendGivesIDsInOrderOfTimeAndRecording, TestAppendNewestFirst, TestTwins, TestDeletedTwinStaysDuplicate, TestDeleteLeavesTraces,
	TestResolveAndReopen, TestTwoPrograms, TestManyCallersOneCommit, TestRealHistory, TestDownloadsAreCountedInTheLedger, TestVerifyWhileOthersWrite, TestPurgeProves,
	TestPurgeWithoutKey, TestVerifyLooksAtEverything, TestNothingStandsBeforeTheFirstEntry, TestEveryRowByEveryWay, TestRecordedFrom, TestAtOneMoment, TestServerTakesOverTheColumns, TestManyStaleRuns,
	TestTextTakenWhileItIsIndexed, TestTextTakenWhileItIsTakenOut, TestLotOfNothing, TestLotOfNothingThatIsMerged, TestDamagedLots, TestTakenWhileALotIsMadeAnew, TestDamagedLotsStopNothingElse, TestTextsOfALongLedger, TestStaleRunOverTwoLots,
	TestLotThatTakesLong, TestLotNumbers, TestWhatIsMissingIsWaitedForOnce, TestHeldBehindWhatIsMissing, TestIndexerComesBackForWhatIsMissing, TestWhoLeavesDoesNotWait,
	TestPiecesMergeBeforeTheyAreSealed, TestWhatDoesNotFitIsNotKept, TestDeletedBeforeTheyAreSealed, TestNothingIsWrittenBesideABadFile,
}

// fileOnly names what is about a file that this program writes by itself, and why.
var fileOnly = map[string]string{
	"LongTextsAreSealedEarly": "the same files on every engine, and 75 MB of events",
	"PurgeNamesWhatHasNone":   "only SQLite joins rows into one text",
	"BackupUnderLoad":         "backup", "BackupIntoAStrangeName": "backup", "Publish": "files", "BackupLeavesNothing": "backup", "BackupIsRestored": "backup", "Salvage": "salvage", "SalvageEnds": "salvage",
	"FullDisk": "the disk is the server's", "ServedForReading": "the rights on a file", "ReadOnly": "the rights on a file",
	"FilesAreForTheirOwnerAlone": "files", "MakeKey": "a key file", "HealthSaysThatColumnsCannotBeWritten": "the name of their folder", "FileThatIsNoLongerThere": "files",
	"DamagedRows": "values of a wrong type", "EveryFlippedBitIsFound": "pages of the file", "Tamper": "values of a wrong type",
	"LockedByAnother": "the lock of a file", "ContendedByAnother": "the lock of a file", "OpenAfterHalfAPage": "pages of the file", "LateEventsAreLookedForOneByOne": "how SQLite plans", "Redact": "looks into the file", "RedactionsGuard": "triggers", "Guards": "triggers",
	"RecentReadsLikeTheRows": "of a file alone what is recent is held", "RecentIsARun": "asks no database",
	"OpenRefuses": "files; postgresRefuses", "TheTreeIsThatOfTheLibrary": "fills the ledger by a statement of SQLite; the tree is Go",
	"Upgrade": "version 1 of a file", "UpgradeTogether": "version 1 of a file", "UpgradeNeedsWriting": "version 1 of a file", "UpgradeKilled": "version 1 of a file",
	"AFailedWriteOpensAnotherConnection": "the disk is the server's",
	"VerifyTakesNoTextForARow":           "how SQLite joins a row", "Readiness": "tables of PostgreSQL", "EachPanicsWhereItWasCalled": "goroutines", "SearchPanicsWhereItWasCalled": "goroutines", "NamesAreAskedWhileATryFails": "asks no database", "ReadinessOfEveryKind": "tables of PostgreSQL", "LintSeesTheStore": "no database", "Citus": "is this on a cluster",
	"Copy": "on both engines at once", "CopyGoesOn": "as Copy", "CopyRefuses": "as Copy", "CopyIntoWhatCannotBeRead": "as Copy", "CopyUnderRoles": "as Copy", "CopyFindsDifferences": "as Copy", "BackupOfServer": "as Copy", "CopyKnowsAllColumns": "as Copy",
	"SilentReplica":            "a closed file stands for the replica",
	"FolderThatCannotBeLocked": "the lock of a folder", "FilesAheadOfAReplica": "a copy of a file stands for the replica",
	"ToMerge": "no database", "HeldByAgreesWithTheText": "no database", "DamageSaysWhatToDo": "no database", "PostgreSQL": "is this", "StatementsAreNumbered": "no database", "SuiteIsWhole": "no database",
	"AwaySaysWhy": "no database", "LinesDoNotWaitForEver": "no database",
	"Roles": "is about PostgreSQL", "ServersOfOneDatabase": "is about PostgreSQL", "ReplicaOfAnother": "is about PostgreSQL",
}

// TestSuiteIsWhole: a test of the store runs on both engines, or it is said why not.
func TestSuiteIsWhole(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, test := range shared {
		known[nameOf(test)] = true
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(text), "package db_test\n") {
			continue // accounts and the like, with a suite of their own
		}
		for _, found := range regexp.MustCompile(`(?m)^func Test(\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(string(text), -1) {
			if name := found[1]; known[name] == (fileOnly[name] != "") {
				t.Errorf("%s: Test%s has to be in exactly one of shared and fileOnly", file, name)
			}
		}
	}
}

// nameOf is the name of a test, without "Test".
func nameOf(test func(*testing.T)) string {
	name := runtime.FuncForPC(reflect.ValueOf(test).Pointer()).Name()
	return strings.TrimPrefix(name[strings.LastIndex(name, ".")+1:], "Test")
}

// TestPostgreSQL runs the suite on PostgreSQL, and what is about PostgreSQL alone.
func TestPostgreSQL(t *testing.T) {
	OnPostgres(t)
	all, ran := slices.Concat(shared, []func(*testing.T){postgresAgrees, postgresRefuses, postgresIsMadeOnce, postgresPrunes, postgresMonths, postgresDefault,
		postgresReadersSeeOneState, postgresNewest, postgresSessionsHearOfMonths, postgresLostCommit, postgresPurgeDropsMonths, postgresPurgeIsInterrupted, postgresPurgeWaitsForReaders, postgresPurgeLosesItsCommit, postgresIsReady, postgresDistribute}), 0
	for _, test := range all {
		t.Run(nameOf(test), func(t *testing.T) {
			ran++
			test(t)
		})
	}
	onPostgres.whole = ran == len(all)
}
