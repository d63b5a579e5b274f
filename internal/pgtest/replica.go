package pgtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Replica starts a server that follows this one by streaming, from a slot of its
// own, and answers queries that only read. It ends with the test, before the
// server it follows.
func (s *Server) Replica(t testing.TB) *Server {
	t.Helper()
	s.replicas++
	r := place(t, s.bin, s.who)
	t.Cleanup(func() {
		r.remove()
		if t.Failed() {
			t.Logf("the replica on port %d said:\n%s", r.port, r.said)
		}
	})
	backup := exec.Command(filepath.Join(s.bin, "pg_basebackup"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "postgres",
		"-D", r.data(), "-R", "-X", "stream", "-C", "-S", fmt.Sprintf("replica_%d_%d", r.port, s.replicas), "--checkpoint=fast", "--no-sync")
	backup.SysProcAttr = &syscall.SysProcAttr{Credential: s.who, Pdeathsig: syscall.SIGKILL}
	backup.Dir = r.dir
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", backup, err, out)
	}
	r.Start(t)
	r.CatchUp(t, s.LSN(t))
	return r
}

// LSN is how far the server has written its log.
func (s *Server) LSN(t testing.TB) string {
	t.Helper()
	return s.text(t, "SELECT pg_current_wal_lsn()::text")
}

// CatchUp waits until a replica shows what its server had written at lsn.
func (s *Server) CatchUp(t testing.TB, lsn string) {
	t.Helper()
	await(t, "the replica to reach "+lsn, func() (bool, error) {
		return s.text(t, "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)::text", lsn) == "true", nil
	})
}

// Promote makes a server of a replica, and returns when it accepts writes. Whom
// it followed is not asked, and may be gone.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	if s.text(t, "SELECT pg_promote(true, 60)::text") != "true" {
		t.Fatalf("the replica on port %d was not promoted within a minute", s.port)
	}
}

// Synchronous lets every commit wait until a replica has it on its disk, or with
// off none. It returns when that holds: with on, a replica has to run. Where that
// is stopped later, commits wait for it.
func (s *Server) Synchronous(t testing.TB, on bool) {
	t.Helper()
	if !on {
		s.Set(t, "synchronous_standby_names", "")
		return
	}
	s.Set(t, "synchronous_standby_names", "*")
	await(t, "a synchronous replica", func() (bool, error) {
		return s.text(t, "SELECT count(*)::text FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'") != "0", nil
	})
}
