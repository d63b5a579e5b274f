package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// Health is what the store knows of its own state, at one moment.
type Health struct {
	Head       int64        // the ledger's last entry; 0 where there is none
	RecordedAt time.Time    // when that was recorded; zero where there is none
	Kinds      []KindHealth // in the order of audit.Kinds
	// LastMinute and LastFive are how many entries the ledger gained in the last
	// minute and in the last five.
	LastMinute, LastFive int64
	Files                []FileHealth // the database first, then what stands beside it, by name
	DiskFree, DiskSize   int64        // bytes of the file system; 0 where that is not known
	Damaged              int          // events met so far with something impossible in them, 10,000 at most
	Hindrance            *Hindrance   // what keeps it from recording, nil where nothing does
	Backup               BackupNote   // the last one that was made from this database
	Unsigned             error        // why this server signs no checkpoints, nil where it does or has not tried
	Warnings             []string     // of the database's server; see Store.Warnings
	Replica              bool         // what pages read follows another database
	Lag                  Lag          // how far, where Replica
	Unsealed             error        // what keeps columns from being written to files, nil where nothing does
}

// KindHealth is the state of one kind of event.
type KindHealth struct {
	Kind     audit.Kind
	Events   int64     // that are stored
	Newest   time.Time // when the newest one happened; zero where there is none
	Segments int       // in files
	Tail     int64     // events that are in none of them yet, but in memory
	Unsearch int64     // entries of the ledger that the text index has not seen yet
	Unplaced Unplaced
}

// Unplaced says what stands in no month of a table that is parted by month: nothing
// but for a moment, and for longer where nobody may make the month. Everything finds
// it all the same, but retention takes it away row by row.
type Unplaced struct {
	Events int64     // mostUnplaced, where it is as many or more
	Since  time.Time // since when this program has tried in vain to place it; zero where it has not
}

const mostUnplaced = 1_000_000

// Unplaced returns what of each kind stands in no month; nil for an engine whose
// tables are not parted.
func (s *Store) Unplaced(ctx context.Context) (map[audit.Kind]Unplaced, error) {
	all, err := s.dialect.unplaced(ctx, s.ro)
	if err != nil {
		return nil, fmt.Errorf("look for events without a month: %w", s.readDialect.classify(err))
	}
	return all, nil
}

// FileHealth is one file of the database.
type FileHealth struct {
	Name string // without its folder
	Size int64  // bytes
}

// BackupNote says when the last backup was made. At is zero where none was.
type BackupNote struct {
	At   time.Time
	Size int64 // bytes
}

// Health returns the state of the store. It reads a few dozen rows, however
// large the database is.
func (s *Store) Health(ctx context.Context) (*Health, error) {
	h := &Health{Hindrance: s.Hindrance(), Damaged: s.damage.count()}
	if trouble := s.sealed.trouble.Load(); trouble != nil {
		h.Unsealed = *trouble
	}
	if trouble := s.unsigned.Load(); trouble != nil {
		h.Unsigned = *trouble
	}
	h.Warnings, h.Replica = s.Warnings(), s.Replica()
	var err error
	if h.Lag, err = s.Lag(ctx); err != nil {
		return nil, err
	}
	if h.Head, h.RecordedAt, err = s.head(ctx); err != nil {
		return nil, fmt.Errorf("look at the health: %w", s.readDialect.classify(err))
	}
	for _, look := range []func(context.Context, *Health) error{s.kindHealth, s.pace, s.fileHealth, s.backupNote} {
		if err := look(ctx, h); err != nil {
			return nil, fmt.Errorf("look at the health: %w", s.readDialect.classify(err))
		}
	}
	return h, nil
}

// head returns the last entry of the ledger, and when it was recorded.
func (s *Store) head(ctx context.Context) (int64, time.Time, error) {
	var seq int64
	var at string
	err := s.ro.QueryRowxContext(ctx, "SELECT seq, recorded_at FROM ledger ORDER BY seq DESC LIMIT 1").Scan(&seq, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, time.Time{}, nil
	}
	t, _ := audit.ParseTime(at)
	return seq, t, err
}

func (s *Store) kindHealth(ctx context.Context, h *Health) error {
	unplaced, err := s.Unplaced(ctx)
	if err != nil {
		return err
	}
	for _, kind := range audit.Kinds() {
		v, err := s.view(ctx, kind)
		if err != nil {
			return err
		}
		k := KindHealth{Kind: kind, Events: int64(v.count), Unplaced: unplaced[kind]}
		for _, p := range v.segments {
			if p.file == "" {
				k.Tail += int64(p.Count())
			} else {
				k.Segments++
			}
		}
		var newest sql.NullInt64
		if err := s.ro.GetContext(ctx, &newest, "SELECT max(id) FROM "+string(kind)); err != nil {
			return err
		}
		if newest.Valid {
			k.Newest = time.UnixMicro(newest.Int64 >> idBits).UTC()
		}
		mark, err := searchMark(ctx, s.ro, kind)
		if err != nil {
			return err
		}
		k.Unsearch = max(0, h.Head-mark)
		h.Kinds = append(h.Kinds, k)
	}
	return nil
}

// pace counts what was recorded lately. The ledger needs no index by time: its
// entries were never recorded before the ones above them, so that the first one
// since a moment is found by halving.
func (s *Store) pace(ctx context.Context, h *Health) error {
	now := s.now()
	for _, p := range []struct {
		d    time.Duration
		into *int64
	}{{time.Minute, &h.LastMinute}, {5 * time.Minute, &h.LastFive}} {
		first, err := s.firstSince(ctx, h.Head, now.Add(-p.d))
		if err != nil {
			return err
		}
		*p.into = h.Head - first + 1
	}
	return nil
}

// firstSince returns the first entry of the ledger that was recorded at t or
// later, and one more than head where there is none.
func (s *Store) firstSince(ctx context.Context, head int64, t time.Time) (int64, error) {
	since := audit.FormatTime(t)
	lo, hi := int64(1), head+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		var at string
		err := s.ro.GetContext(ctx, &at, "SELECT recorded_at FROM ledger WHERE seq >= ? ORDER BY seq LIMIT 1", mid)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, err
		}
		if err == nil && at < since {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, nil
}

func (s *Store) fileHealth(ctx context.Context, h *Health) (err error) {
	h.Files, h.DiskFree, h.DiskSize, err = s.dialect.storage(ctx, s.ro, s.beside)
	return err
}

// filesBeside measures every file whose name begins with that of the database:
// the log, the segments and whatever else stands beside it.
func filesBeside(beside string) (all []FileHealth, err error) {
	folder, name := filepath.Dir(beside), filepath.Base(beside)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("list the files of the database: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() != name && !strings.HasPrefix(entry.Name(), name+"-") && !strings.HasPrefix(entry.Name(), name+".") {
			continue
		}
		size, err := sizeOf(filepath.Join(folder, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // between the two looks
		}
		if err != nil {
			return nil, err
		}
		all = append(all, FileHealth{Name: entry.Name(), Size: size})
	}
	return all, nil
}

// sizeOf is the size of a file, or of all files in a folder.
func sizeOf(path string) (int64, error) {
	var size int64
	err := filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// The note of the last backup, in meta: "2026-03-01T12:00:00.000000Z 123456".
const metaBackup = "backup"

func (s *Store) backupNote(ctx context.Context, h *Health) error {
	var text string
	err := s.ro.GetContext(ctx, &text, "SELECT value FROM meta WHERE key = ?", metaBackup)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	at, size, _ := strings.Cut(text, " ")
	h.Backup.At, _ = audit.ParseTime(at)
	h.Backup.Size, _ = strconv.ParseInt(size, 10, 64)
	return err
}
