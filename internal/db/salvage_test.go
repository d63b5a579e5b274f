package db

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
)

// TestSalvage zeroes and flips random pages of a database, and salvages it: what
// is kept is exactly the events whose evidence still holds, the rest is named,
// and the damaged file is as it was.
func TestSalvage(t *testing.T) {
	made := openTest(t)
	ctx := t.Context()
	var events []*audit.Event
	for i := range 3000 {
		events = append(events, event(t, "event_id", strconv.Itoa(i), "reason", strings.Repeat("why ", i%80)))
	}
	mustAppend(t, made, events...)
	victim := newest(t, made)
	if _, err := made.Delete(ctx, Actor{Name: "ines"}, audit.KindAuditLog, []int64{victim}, "asked for"); err != nil {
		t.Fatal(err)
	}
	path := made.Path()
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Schema: auditadmin.Schema, Now: func() time.Time { return noon }}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 8 {
		spoiled := bytes.Clone(whole)
		pages := len(spoiled) / 4096
		for range round * 3 { // round 0 is the control
			page := spoiled[(1+random.IntN(pages-1))*4096:][:4096] // the first page names the tables
			if random.IntN(2) == 0 {
				clear(page)
			} else {
				page[random.IntN(4096)] ^= 1 << random.IntN(8)
			}
		}
		folder := t.TempDir()
		damaged, fresh := filepath.Join(folder, "damaged.db"), filepath.Join(folder, "fresh.db")
		if err := os.WriteFile(damaged, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Salvage(ctx, damaged, fresh, o, nil)
		if err != nil {
			if round > 0 && strings.Contains(err.Error(), "first page") {
				continue // a page of the schema was hit: nothing can be read
			}
			t.Fatalf("round %d: %v", round, err)
		}
		if now, err := os.ReadFile(damaged); err != nil || !bytes.Equal(now, spoiled) {
			t.Errorf("round %d: the damaged file was touched", round)
		}
		s := openAt(t, fresh)
		var kept int64
		if err := s.ro.Get(&kept, "SELECT count(*) FROM audit_log"); err != nil || kept != got.Events {
			t.Errorf("round %d: %d events are there, %v, and %d were kept", round, kept, err, got.Events)
		}
		if round == 0 && (got.Events != 3000 || len(got.Lost) != 0) { // 2,999, and the record of the deletion
			t.Errorf("of a sound database %d were kept, and lost %v", got.Events, got.Lost)
		}
		if got.Events < 2000 {
			t.Errorf("round %d: only %d events were kept", round, got.Events)
		}
		v, err := s.Verify(ctx, VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range v.Problems {
			if p.Trouble == Altered && p.Table == string(audit.KindAuditLog) && !slices.Equal(p.Fields, []string{"seed"}) { // whose check bytes no leaf holds
				t.Errorf("round %d: kept what is not what was recorded: %v", round, p)
			}
		}
		if round == 0 && !v.Holds() {
			t.Errorf("the copy of a sound database: %v", v.Problems)
		}
		t.Logf("round %d: kept %d events and %d entries, lost %d", round, got.Events, got.Entries, int64(len(got.Lost))+got.More)
		if _, err := Salvage(ctx, damaged, fresh, o, nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("onto a file that is there: %v, want fs.ErrExist", err)
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) > 6 {
			t.Errorf("left behind are %v, %v", entries, err)
		}
	}
}

// TestSalvageEnds goes no further than the ledger can reach, where a damaged row
// names a place in it that nothing has.
func TestSalvageEnds(t *testing.T) {
	made := openTest(t)
	mustAppend(t, made, event(t), event(t), event(t))
	if _, err := made.rw.Exec("DROP TRIGGER audit_log_fixed; UPDATE audit_log SET seq = 720912597938220336 WHERE seq = (SELECT max(seq) FROM audit_log)"); err != nil {
		t.Fatal(err)
	}
	path := made.Path()
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	o := Options{Schema: auditadmin.Schema, Now: func() time.Time { return noon }}
	got, err := Salvage(t.Context(), path, filepath.Join(t.TempDir(), "fresh.db"), o, nil)
	if err != nil || got.Events != 2 || got.Entries != 3 {
		t.Fatalf("got %+v, %v, want two events and three entries", got, err)
	}
}
