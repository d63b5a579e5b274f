package db

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/internal/evidence"
)

// torture returns quick, and where AUDITADMIN_TORTURE is set so many times long as
// it says.
func torture(quick, long int) int {
	text := os.Getenv("AUDITADMIN_TORTURE")
	if text == "" {
		return quick
	}
	scale, err := strconv.ParseFloat(text, 64)
	if err != nil || scale <= 0 {
		scale = 1
	}
	return max(quick, int(float64(long)*scale))
}

// tortureSeed is 1, or what AUDITADMIN_TORTURE_SEED says: another one chooses other
// bits and rows.
func tortureSeed() uint64 {
	if seed, err := strconv.ParseUint(os.Getenv("AUDITADMIN_TORTURE_SEED"), 10, 64); err == nil {
		return seed
	}
	return 1
}

// copyDatabase copies a database at rest with its key file.
func copyDatabase(t testing.TB, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", ".key"} {
		b, err := os.ReadFile(from + suffix)
		if err == nil {
			err = os.WriteFile(to+suffix, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// payload is where the content of one row stands in a file.
type payload struct {
	table  string
	rowid  int64
	ranges [][2]int64 // of bytes, the last one exclusive
	seq    int64      // of an event; the rowid of an entry of the ledger
}

// payloads finds the bytes of the rows of a table in a database file: a walk
// over its b-tree as https://www.sqlite.org/fileformat2.html describes it.
func payloads(file []byte, table string, root int64) []payload {
	pageSize := int64(file[16])<<8 | int64(file[17])
	if pageSize == 1 {
		pageSize = 65536
	}
	usable := pageSize - int64(file[20])
	varint := func(at int64) (v uint64, next int64) {
		for i := range int64(9) {
			b := file[at+i]
			if i == 8 {
				return v<<8 | uint64(b), at + 9
			}
			v = v<<7 | uint64(b&0x7f)
			if b < 0x80 {
				return v, at + i + 1
			}
		}
		panic("unreachable")
	}
	u16 := func(at int64) int64 { return int64(file[at])<<8 | int64(file[at+1]) }
	u32 := func(at int64) int64 { return u16(at)<<16 | u16(at+2) }
	var all []payload
	var walk func(page int64)
	walk = func(page int64) {
		start := (page - 1) * pageSize
		head := start
		if page == 1 {
			head += 100
		}
		cells := u16(head + 3)
		if file[head] == 5 { // interior
			for i := range cells {
				walk(u32(start + u16(head+12+2*i)))
			}
			walk(u32(head + 8))
			return
		}
		for i := range cells {
			at := start + u16(head+8+2*i)
			size, next := varint(at)
			rowid, body := varint(next)
			p := payload{table: table, rowid: int64(rowid)}
			left, local := int64(size), int64(size)
			if left > usable-35 {
				least := (usable-12)*32/255 - 23
				if local = least + (left-least)%(usable-4); local > usable-35 {
					local = least
				}
			}
			p.ranges = append(p.ranges, [2]int64{body, body + local})
			for overflow, left := body+local, left-local; left > 0; {
				next := (u32(overflow) - 1) * pageSize
				part := min(left, usable-4)
				p.ranges = append(p.ranges, [2]int64{next + 4, next + 4 + part})
				overflow, left = next, left-part
			}
			all = append(all, p)
		}
	}
	walk(root)
	return all
}

// allPayloads finds the content of every event and every entry of the ledger.
func allPayloads(t testing.TB, path string) []payload {
	t.Helper()
	db, err := sqlx.Open("sqlite3", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []payload
	for _, table := range []string{"audit_log", "login_attempt", "data_export", "system_event", "ledger"} {
		var root int64
		if err := db.Get(&root, "SELECT rootpage FROM sqlite_master WHERE name = ?", table); err != nil {
			t.Fatal(err)
		}
		rows := payloads(file, table, root)
		for i := range rows {
			if err := db.Get(&rows[i].seq, "SELECT seq FROM "+table+" WHERE rowid = ?", rows[i].rowid); err != nil {
				t.Fatalf("%s %d: %v", table, rows[i].rowid, err)
			}
		}
		all = append(all, rows...)
	}
	return all
}

// named reports whether one of the problems names the row.
func named(problems []Problem, table string, id, seq int64) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool {
		return p.Table == table && p.ID == id && id != 0 || p.Seq == seq && seq != 0
	})
}

// T18: of random single-bit flips in the content of rows, every one is found and
// the row is named. PRAGMA integrity_check finds about one in sixteen.
func TestEveryFlippedBitIsFound(t *testing.T) {
	path := vouched(t, 400, 7)
	rows := allPayloads(t, path)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for _, row := range rows {
		for _, r := range row.ranges {
			bytes += r[1] - r[0]
		}
	}
	seed := 20261122 + tortureSeed()
	flips := torture(250, 10_000)
	work := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	found, located, fields := 0, 0, 0
	for worker := range 2 {
		wg.Go(func() {
			own := filepath.Join(t.TempDir(), fmt.Sprintf("flipped%d.db", worker))
			copyDatabase(t, path, own)
			f, err := os.OpenFile(own, os.O_RDWR, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			for n := range work {
				r := rand.New(rand.NewPCG(seed, uint64(n)))
				at := r.Int64N(bytes)
				var row payload
				for _, row = range rows {
					size := int64(0)
					for _, part := range row.ranges {
						size += part[1] - part[0]
					}
					if at < size {
						break
					}
					at -= size
				}
				for _, part := range row.ranges {
					if at < part[1]-part[0] {
						at += part[0]
						break
					}
					at -= part[1] - part[0]
				}
				bit := byte(1) << r.IntN(8)
				for at == row.ranges[0][0]+1 && bit == 8 {
					// The key stands before the record, and in it only a NULL that
					// SQLite never looks at: this bit makes it a 0, and no content.
					bit = byte(1) << r.IntN(8)
				}
				f.WriteAt([]byte{file[at] ^ bit}, at)
				v, err := tryVerify(context.Background(), own, VerifyOptions{Workers: 1})
				f.WriteAt([]byte{file[at]}, at)
				mu.Lock()
				id := row.rowid
				if row.table == "ledger" {
					id = 0
				}
				switch {
				case err != nil:
					t.Errorf("flip %d: byte %d of %s %d: %v", n, at, row.table, row.rowid, err)
				case v.Holds():
					t.Errorf("flip %d: bit %08b of byte %d of %s %d was not found", n, bit, at, row.table, row.rowid)
				default:
					if found++; named(v.Problems, row.table, id, row.seq) {
						located++
					} else {
						t.Errorf("flip %d: bit %08b of byte %d of %s %d: got %v, want it named", n, bit, at, row.table, row.rowid, v.Problems[0])
					}
					if row.table != "ledger" && len(v.Problems[0].Fields) > 0 {
						fields++
					}
				}
				mu.Unlock()
			}
		})
	}
	for n := range flips {
		work <- n
	}
	close(work)
	wg.Wait()
	t.Logf("%d flips in %d bytes of %d rows: %d found, %d located, %d down to the field (seed %d)", flips, bytes, len(rows), found, located, fields, seed)
}

// mutation is one class of tampering by somebody who has the file and sqlite3,
// and takes the guards away first. It returns the row that has to be named.
type mutation struct {
	name string
	do   func(r *rand.Rand, db *sqlx.DB) (table string, id, seq int64, err error)
}

func pick(r *rand.Rand, db *sqlx.DB, table string) (id, seq int64, err error) {
	var n int64
	if err := db.Get(&n, "SELECT count(*) FROM "+table); err != nil {
		return 0, 0, err
	}
	err = db.QueryRow("SELECT "+map[bool]string{true: "0", false: "id"}[table == "ledger"]+", seq FROM "+table+" LIMIT 1 OFFSET ?", r.Int64N(n)).Scan(&id, &seq)
	return id, seq, err
}

var eventTables = []string{"audit_log", "login_attempt", "data_export", "system_event"}

var mutations = []mutation{
	{"edit", func(r *rand.Rand, db *sqlx.DB) (string, int64, int64, error) {
		table := append(eventTables, "ledger")[r.IntN(5)]
		id, seq, err := pick(r, db, table)
		if err != nil {
			return "", 0, 0, err
		}
		var columns []string
		if err := db.Select(&columns, "SELECT name FROM pragma_table_info(?) WHERE name NOT IN ('id', 'seq')", table); err != nil {
			return "", 0, 0, err
		}
		column := columns[r.IntN(len(columns))]
		if _, err := db.Exec("UPDATE "+table+" SET "+column+" = CASE typeof("+column+") WHEN 'integer' THEN "+column+" + 1 WHEN 'blob' THEN randomblob(length("+column+"))"+
			" WHEN 'null' THEN CASE WHEN ? THEN 7 WHEN ? THEN randomblob(20) ELSE 'x' END ELSE "+column+" || 'x' END WHERE seq = ?",
			slices.Contains([]string{"record_count", "file_size", "download_count", "line_number"}, column),
			slices.Contains([]string{"seed", "subject", "leaf"}, column), seq); err != nil {
			return "", 0, 0, fmt.Errorf("%s.%s: %w", table, column, err)
		}
		return table, id, seq, nil
	}},
	{"delete", func(r *rand.Rand, db *sqlx.DB) (string, int64, int64, error) {
		table := append(eventTables, "tombstone")[r.IntN(5)]
		id, seq, err := pick(r, db, table)
		if err == nil {
			_, err = db.Exec("DELETE FROM "+table+" WHERE id = ? AND seq = ?", id, seq)
		}
		return table, id, seq, err
	}},
	{"insert", func(r *rand.Rand, db *sqlx.DB) (string, int64, int64, error) {
		table := eventTables[r.IntN(4)]
		id, _, err := pick(r, db, table)
		if err != nil {
			return "", 0, 0, err
		}
		var names []string
		if err := db.Select(&names, "SELECT name FROM pragma_table_info(?) WHERE name <> 'id'", table); err != nil {
			return "", 0, 0, err
		}
		list := strings.Join(names, ", ")
		forged := id + 1 + r.Int64N(1<<20)
		if _, err = db.Exec("INSERT INTO "+table+" (id, "+list+") SELECT ?, "+list+" FROM "+table+" WHERE id = ?", forged, id); err != nil {
			return "", 0, 0, err
		}
		if r.IntN(2) == 0 { // with an entry of its own at the end, whose leaf cannot be right
			if _, err = db.Exec("INSERT INTO ledger SELECT max(seq) + 1, 'created', ?, ?, max(recorded_at), NULL, NULL, randomblob(32), NULL FROM ledger", table, forged); err != nil {
				return "", 0, 0, err
			}
			if _, err = db.Exec("UPDATE "+table+" SET seq = (SELECT max(seq) FROM ledger) WHERE id = ?", forged); err != nil {
				return "", 0, 0, err
			}
		}
		return table, forged, 0, nil
	}},
	{"reorder", func(r *rand.Rand, db *sqlx.DB) (string, int64, int64, error) {
		table := eventTables[r.IntN(4)]
		a, seqA, err := pick(r, db, table)
		if err != nil {
			return "", 0, 0, err
		}
		b, seqB, err := pick(r, db, table)
		for tries := 0; err == nil && a == b && tries < 100; tries++ {
			b, seqB, err = pick(r, db, table)
		}
		if err == nil && r.IntN(2) == 0 {
			_, err = db.Exec("UPDATE "+table+" SET seq = CASE id WHEN ? THEN ? ELSE ? END WHERE id IN (?, ?)", a, seqB, seqA, a, b)
			return table, a, 0, err
		}
		if err == nil { // the rows keep their places and the entries change theirs
			for _, s := range []struct {
				query string
				args  []any
			}{
				{"UPDATE ledger SET seq = -1 WHERE seq = ?", []any{seqA}},
				{"UPDATE ledger SET seq = ? WHERE seq = ?", []any{seqA, seqB}},
				{"UPDATE ledger SET seq = ? WHERE seq = -1", []any{seqB}},
			} {
				if _, err = db.Exec(s.query, s.args...); err != nil {
					break
				}
			}
		}
		return table, a, 0, err
	}},
	{"truncate", func(r *rand.Rand, db *sqlx.DB) (string, int64, int64, error) {
		var head int64
		if err := db.Get(&head, "SELECT max(seq) FROM ledger"); err != nil {
			return "", 0, 0, err
		}
		last := head - 1 - r.Int64N(20)
		for _, table := range append(eventTables, "ledger") {
			if _, err := db.Exec("DELETE FROM "+table+" WHERE seq > ?", last); err != nil {
				return "", 0, 0, err
			}
		}
		if _, err := db.Exec("DELETE FROM tombstone WHERE seq > ?", last); err != nil {
			return "", 0, 0, err
		}
		return "ledger", 0, last + 1, nil
	}},
}

// T18: six classes of tampering by SQL; the sixth, an older file in place of the
// database, is found by a checkpoint that was handed out.
//
// ASVS:V16.4.2
func TestTamper(t *testing.T) {
	path := vouched(t, 400, 11)
	keys, err := ReadKeys(KeyPath(path))
	if err != nil {
		t.Fatal(err)
	}
	guards := triggersOf(t, path)
	rounds := torture(12, 2500)
	var mu sync.Mutex
	found := map[string]int{}
	count := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		found[name]++
	}
	tamper := func(m mutation, n int, own string) {
		copyDatabase(t, path, own)
		db, err := sqlx.Open("sqlite3", "file:"+own+"?_journal_mode=OFF&_synchronous=OFF")
		if err != nil {
			t.Error(err)
			return
		}
		for _, name := range guards {
			if _, err := db.Exec("DROP TRIGGER " + name); err != nil {
				t.Error(err)
			}
		}
		table, id, seq, err := m.do(rand.New(rand.NewPCG(41+tortureSeed(), uint64(n))), db)
		if err = errors.Join(err, db.Close()); err != nil {
			t.Errorf("%s %d: %v", m.name, n, err)
			return
		}
		v, err := tryVerify(context.Background(), own, VerifyOptions{Workers: 1})
		switch {
		case err != nil:
			t.Errorf("%s %d: %v", m.name, n, err)
		case v.Holds():
			t.Errorf("%s %d: %s %d (entry %d) was not found", m.name, n, table, id, seq)
		case !named(v.Problems, table, id, seq):
			t.Errorf("%s %d: got %v, want %s %d (entry %d) named", m.name, n, v.Problems, table, id, seq)
		default:
			count(m.name)
		}
	}
	incarnation, head := incarnationOf(t, path), headOf(t, path)
	older := func(n int, own string) {
		copyDatabase(t, path, own)
		ahead := evidence.Checkpoint{Incarnation: incarnation, Size: head + 1 + int64(n), At: noon}
		note, err := ahead.Sign(keys.Signer())
		if err != nil {
			t.Error(err)
			return
		}
		v, err := tryVerify(context.Background(), own, VerifyOptions{Workers: 1, Saved: []string{note}})
		if err == nil && named(v.Problems, "ledger", 0, head+1) {
			count("older file")
		} else {
			t.Errorf("older file %d: got %v, %v, want the first entry that is gone", n, v, err)
		}
	}
	work := make(chan func(own string))
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		base := t.TempDir()
		wg.Go(func() {
			for do := range work {
				dir, err := os.MkdirTemp(base, "")
				if err != nil {
					t.Error(err)
					continue
				}
				do(filepath.Join(dir, "tampered.db"))
				os.RemoveAll(dir)
			}
		})
	}
	for n := range rounds {
		for _, m := range mutations {
			work <- func(own string) { tamper(m, n, own) }
		}
		work <- func(own string) { older(n, own) }
	}
	close(work)
	wg.Wait()
	t.Logf("%d of each class, found and named: %v", rounds, found)
}

// triggersOf lists the guards of a database.
func triggersOf(t testing.TB, path string) (names []string) {
	t.Helper()
	db, err := sqlx.Open("sqlite3", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Select(&names, "SELECT name FROM sqlite_master WHERE type = 'trigger'"); err != nil {
		t.Fatal(err)
	}
	return names
}

func incarnationOf(t testing.TB, path string) string {
	t.Helper()
	s, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Incarnations(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatalf("got %v, %v", all, err)
	}
	return all[len(all)-1].Name
}

func headOf(t testing.TB, path string) (head int64) {
	t.Helper()
	s, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.ro.Get(&head, "SELECT max(seq) FROM ledger"); err != nil {
		t.Fatal(err)
	}
	return head
}

// Beside a server that appends, resolves and deletes, nothing is ever reported
// that is not so.
func TestVerifyWhileOthersWrite(t *testing.T) {
	path := vouched(t, 300, 3)
	s := openAt(t, path)
	rounds := torture(15, 1000)
	keys, err := s.PublicKeys()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range rounds {
			v, err := s.Verify(context.Background(), VerifyOptions{PublicKeys: keys, SinceCheckpoint: n%3 == 1})
			if err != nil {
				t.Error(err)
				return
			}
			for _, p := range v.Problems {
				t.Errorf("round %d: got %v, want no problem", n, p)
			}
		}
	}()
	written := 0
	for n := uint64(100); ; n++ {
		select {
		case <-done:
			t.Logf("%d verifications beside %d appends", rounds, written)
			return
		default:
		}
		if written < 400 { // so that a verification stays short
			mixture(t, s, 40, n)
			written++
		}
		decisions(t, s)
		if _, err := s.Checkpoint(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
