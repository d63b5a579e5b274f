package db

import (
	"slices"

	"github.com/auditadmin/auditadmin/audit"
)

// staleRun is a run of places in the ledger whose text has changed or gone.
type staleRun struct {
	First, Last int64
	Gone        bool
}

// staleRows says of rows, by their places in the ledger, which are in a run, and which of
// those are not gone but changed. Runs are in the order of their beginnings.
func staleRows(runs []staleRun, seqs []int64) (stale, changed []bool) {
	stale, changed = make([]bool, len(seqs)), make([]bool, len(seqs))
	for at, row := 0, 0; at < len(runs) && row < len(seqs); {
		switch {
		case seqs[row] < runs[at].First:
			row++
		case seqs[row] > runs[at].Last:
			at++
		default:
			stale[row], changed[row] = true, !runs[at].Gone
			row++
		}
	}
	return stale, changed
}

// forgetUpTo forgets, of runs that were read, what is in them up to a seq.
func (tx *writeTx) forgetUpTo(kind audit.Kind, runs []staleRun, upTo int64) error {
	if whole := wholeRuns(runs, upTo); len(whole) > fewRuns {
		if done, err := tx.forgetRuns(kind, whole); err != nil {
			return err
		} else if done {
			runs = runs[len(whole):]
		}
	}
	for _, run := range runs {
		if run.First > upTo {
			break
		}
		if run.Last > upTo {
			// The rest may be a run of its own already.
			_, err := tx.ExecContext(tx.ctx, "INSERT INTO search_stale (kind, first, last, gone) SELECT kind, ?, last, gone FROM search_stale WHERE kind = ? AND first = ? AND last = ?"+
				" ON CONFLICT (kind, first, last) DO UPDATE SET gone = 1 WHERE excluded.gone = 1", upTo+1, kind, run.First, run.Last)
			if err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(tx.ctx, "DELETE FROM search_stale WHERE kind = ? AND first = ? AND last = ?", kind, run.First, run.Last); err != nil {
			return err
		}
	}
	return nil
}

// fewRuns are forgotten one by one.
const fewRuns = 16

// wholeRuns are the first of some runs, in the order of their beginnings, that end up
// to a seq.
func wholeRuns(runs []staleRun, upTo int64) []staleRun {
	if i := slices.IndexFunc(runs, func(r staleRun) bool { return r.Last > upTo }); i >= 0 {
		return runs[:i]
	}
	return runs
}

// forgetRuns forgets runs that were read one after the other, all at once: a purge of
// what was not indexed yet leaves a hundred thousand of them. It reports false, and
// forgets none, where others stand between them by now.
func (tx *writeTx) forgetRuns(kind audit.Kind, runs []staleRun) (bool, error) {
	const among = " FROM search_stale WHERE kind = ? AND first BETWEEN ? AND ? AND last <= ?"
	var count, firsts, lasts, upTo int64
	for _, run := range runs {
		count, firsts, lasts, upTo = count+1, firsts+run.First, lasts+run.Last, max(upTo, run.Last)
	}
	args := []any{kind, runs[0].First, runs[len(runs)-1].First, upTo}
	var n, allFirsts, allLasts int64
	err := tx.QueryRowxContext(tx.ctx, "SELECT count(*), CAST(coalesce(sum(first), 0) AS BIGINT), CAST(coalesce(sum(last), 0) AS BIGINT)"+among, args...).Scan(&n, &allFirsts, &allLasts)
	if err != nil || n != count || allFirsts != firsts || allLasts != lasts {
		return false, err
	}
	_, err = tx.ExecContext(tx.ctx, "DELETE"+among, args...)
	return true, err
}
