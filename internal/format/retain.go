package format

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// Retain takes away what the settings of a database say is kept no longer,
// archived first where they name a folder, if that was not done within the last
// day. It returns what it did by kind, and goes on with the next kind after an
// error.
func Retain(ctx context.Context, store *db.Store, now time.Time) (map[audit.Kind]db.Purged, error) {
	r, err := store.Retention(ctx)
	if err != nil || len(r.Days) == 0 {
		return nil, err
	}
	if mine, err := store.ClaimRetention(ctx); err != nil || !mine {
		return nil, err
	}
	done := map[audit.Kind]db.Purged{}
	var errs []error
	for _, kind := range audit.Kinds() {
		days := r.Days[kind]
		if days == 0 {
			continue
		}
		purged, err := retain(ctx, store, kind, days, r.Archive, now)
		done[kind] = purged
		errs = append(errs, err)
	}
	return done, errors.Join(errs...)
}

func retain(ctx context.Context, store *db.Store, kind audit.Kind, days int, dir string, now time.Time) (db.Purged, error) {
	job := db.PurgeJob{Kind: kind, Before: now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -days), Reason: "retention: " + kind.Plural() + " are kept for " + strconv.Itoa(days) + " days"}
	if dir != "" {
		archive, err := NewArchive(dir, kind, job.Before, now)
		if err != nil {
			return db.Purged{}, fmt.Errorf("retention of %s: %w", kind.Plural(), err)
		}
		defer archive.Close()
		job.Archive, job.ArchiveName = archive.Write, archive.Name()
	}
	return store.Purge(ctx, db.Actor{Name: db.Self}, job)
}
