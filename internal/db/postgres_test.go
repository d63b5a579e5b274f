package db

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"net/url"
	"path/filepath"
	"reflect"
	"runtime"
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
	s, err := Open(t.Context(), p.url("template_audit"), Options{Schema: auditadmin.Schema, StateDir: p.state, Now: func() time.Time { return noon }})
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
	if !p.made[name] {
		if _, err := p.admin.Exec("CREATE DATABASE " + name + " TEMPLATE template_audit"); err != nil {
			t.Fatal(err)
		}
		p.made[name] = true
		t.Cleanup(func() { p.drop(name) })
	}
	return p.url(name)
}

func (p *pgServer) drop(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.admin.Exec("DROP DATABASE " + name + " WITH (FORCE)") // the server goes soon
	delete(p.made, name)
}

// TestPostgreSQL runs the suite of the store once more, on PostgreSQL.
func TestPostgreSQL(t *testing.T) {
	onPostgres = startPostgres(t)
	t.Cleanup(func() { onPostgres = nil })
	for _, test := range []func(*testing.T){
		TestDamageSaysWhatToDo,
		TestFirstMicrosecond,
		TestVerifyFindsNothingWhereNothingIsWrong,
		TestCheckpointsGoOn,
		TestVerifiedUpTo,
		TestEverythingIsVerifiedInTime,
		TestCheckpointsAreThinned,
		TestStrangeText,
		TestOpenWhileAnotherMakesIt,
		TestOpenWithoutATable,
		TestFirstSince,
		TestPagesOfLargeEvents,
		TestLotsFollowTheLedger,
		TestLotLeftBehind,
		TestPurge,
		TestPurgeLeavesNothing,
		TestHolds,
		TestPurgeKeepsFreshTraces,
		TestPurgeStops,
		TestPurgedIDsAreNobodys,
		TestRedactionGoesWithItsEvent,
		TestRefreshThatFailsHalfWay,
		TestFrequentTextRemembersWithinBounds,
		TestRetention,
		TestClaimRetention,
		TestSealedSegmentsAgreeWithTheRows,
		TestDeletedWordsAreInNoFile,
		TestSelectionsAgreeWithTheRows,
		TestLateEventsStandWhereTheyBelong,
		TestCursorsAtTheEnds,
		TestFacetLeavesOutItsOwnTerms,
		TestSieveNamesTheFilter,
		TestTimelineFollowsTheZone,
		TestSummaryCounts,
		TestNeighbours,
		TestAppendGivesIDsInOrderOfTimeAndRecording,
		TestTwins,
		TestDeletedTwinStaysDuplicate,
		TestDeleteLeavesTraces,
		TestResolveAndReopen,
		TestTwoPrograms,
		TestManyCallersOneCommit,
		TestRealHistory,
		TestDownloadsAreCountedInTheLedger,
		TestVerifyWhileOthersWrite,
	} {
		name := runtime.FuncForPC(reflect.ValueOf(test).Pointer()).Name()
		t.Run(name[strings.LastIndex(name, ".")+len(".Test"):], test)
	}
}
