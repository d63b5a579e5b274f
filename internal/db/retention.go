package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// Retention is how long events are kept.
type Retention struct {
	Days    map[audit.Kind]int // a kind that is not in it is kept for ever
	Archive string             // the folder, by its whole path, that events are written to first; "" for none
}

// MostRetentionDays is the longest retention there is: a century.
const MostRetentionDays = 36500

// The keys of the settings: of the days of a kind, and of the folder.
const (
	retentionKey  = "retention:"
	retentionInto = "retention_archive"
)

// Retention returns how long events are kept. Where nobody has set it, they are
// kept for ever.
func (s *Store) Retention(ctx context.Context) (Retention, error) {
	r, err := readRetention(ctx, s.primary())
	if err != nil {
		return r, fmt.Errorf("read the retention: %w", s.dialect.classify(err))
	}
	return r, nil
}

func readRetention(ctx context.Context, q queryer) (Retention, error) {
	r := Retention{Days: map[audit.Kind]int{}}
	err := eachRow(ctx, q, "SELECT key, value FROM setting", nil, func(row scanner) error {
		var key, value string
		if err := row.Scan(&key, &value); err != nil {
			return err
		}
		if key == retentionInto {
			r.Archive = value
		}
		for _, kind := range audit.Kinds() {
			if key != retentionKey+string(kind) {
				continue
			}
			days, err := strconv.Atoi(value)
			if err != nil || days < 1 {
				return fmt.Errorf("the setting %s is %q and should be a number of days", key, value)
			}
			r.Days[kind] = days
		}
		return nil
	})
	return r, err
}

// SetRetention changes how long events are kept, and records who changed what, if
// anything. It refuses a number of days that is not 1 to MostRetentionDays, and an archive
// that is not a whole path. Nothing is purged by it.
func (s *Store) SetRetention(ctx context.Context, actor Actor, to Retention) error {
	for kind, days := range to.Days {
		if days < 1 || days > MostRetentionDays {
			return fmt.Errorf("keep %s for %d days: give 1 to %d", kind.Plural(), days, MostRetentionDays)
		}
	}
	if to.Archive != "" && !filepath.IsAbs(to.Archive) {
		return fmt.Errorf("archive into %s: give the whole path of a folder", to.Archive)
	}
	return s.writeAsSuperuser(ctx, "set the retention", func(tx *writeTx) error {
		from, err := readRetention(tx.ctx, tx)
		if err != nil {
			return err
		}
		changed := changes{}
		set := func(key, field, before, after string) error {
			if before == after {
				return nil
			}
			changed[field] = change{before, after}
			if after == "" {
				_, err := tx.ExecContext(tx.ctx, "DELETE FROM setting WHERE key = ?", key)
				return err
			}
			_, err := tx.ExecContext(tx.ctx, "INSERT INTO setting (key, value, changed_at, changed_by) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE"+
				" SET value = excluded.value, changed_at = excluded.changed_at, changed_by = excluded.changed_by", key, after, audit.FormatTime(tx.now), actor.Name)
			return err
		}
		for _, kind := range audit.Kinds() {
			if err := set(retentionKey+string(kind), string(kind)+"_days", days(from, kind), days(to, kind)); err != nil {
				return err
			}
		}
		if err := set(retentionInto, "archive", from.Archive, to.Archive); err != nil || len(changed) == 0 {
			return err
		}
		return tx.record(actor.deed("UPDATE", object{Self + ".setting", "retention", "retention"}, changed))
	})
}

func days(r Retention, kind audit.Kind) string {
	if n := r.Days[kind]; n > 0 {
		return strconv.Itoa(n)
	}
	return ""
}

// retentionPause is how long after a scheduled purge the next one is due.
const retentionPause = 24 * time.Hour

// ClaimRetention reports whether the scheduled purge is due, and if so makes it
// the caller's: of several servers on one database one gets it.
func (s *Store) ClaimRetention(ctx context.Context) (bool, error) {
	due := func(q queryer, now time.Time) (bool, error) {
		var text string
		err := q.QueryRowxContext(ctx, "SELECT value FROM meta WHERE key = 'retention_ran'").Scan(&text)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
		last, _ := audit.ParseTime(text)
		return now.Sub(last) >= retentionPause, nil
	}
	if is, err := due(s.primary(), s.now()); err != nil || !is {
		return false, err
	}
	mine := false
	err := s.writeLater(ctx, "begin the scheduled purge", func(tx *writeTx) error {
		var err error
		if mine, err = due(tx, tx.now); err != nil || !mine {
			return err
		}
		_, err = tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES ('retention_ran', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", audit.FormatTime(tx.now))
		return err
	})
	return mine && err == nil, err
}
