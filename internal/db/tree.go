package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/auditadmin/auditadmin/internal/evidence"
)

// tileWidth is how many hashes a full tile holds.
const tileWidth = 1 << evidence.TileHeight

// treeReader reads nodes of the tree over the ledger. The leaves are read from
// the ledger itself and the upper levels from their tiles; what the tiles do not
// hold yet is computed. It keeps what it read, and is for one use within one
// snapshot.
type treeReader struct {
	ctx   context.Context
	q     sqlx.QueryerContext
	size  int64 // of the tree, where known: so far leaves are read by whole tiles
	tiles map[[2]int64][]byte
}

func newTreeReader(ctx context.Context, q sqlx.QueryerContext) *treeReader {
	return &treeReader{ctx: ctx, q: q, tiles: map[[2]int64][]byte{}}
}

// ReadHashes implements tlog.HashReader.
func (r *treeReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		t := tlog.TileForIndex(evidence.TileHeight, index)
		data, err := r.tile(int64(t.L), t.N, t.W)
		if err != nil {
			return nil, err
		}
		if hashes[i], err = tlog.HashFromTile(t, data, index); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// tile returns the first width hashes of a tile.
func (r *treeReader) tile(level, n int64, width int) ([]byte, error) {
	place := [2]int64{level, n}
	data := r.tiles[place]
	if len(data) >= width*tlog.HashSize {
		return data[:width*tlog.HashSize], nil
	}
	var err error
	if level == 0 {
		most := max(width, int(min(tileWidth, r.size-n*tileWidth)))
		data, err = readLeaves(r.ctx, r.q, n*tileWidth, most)
	} else {
		err = sqlx.GetContext(r.ctx, r.q, &data, "SELECT hashes FROM tile WHERE level = ? AND n = ?", level, n)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		data = data[:min(len(data), tileWidth*tlog.HashSize)/tlog.HashSize*tlog.HashSize]
		for i := len(data) / tlog.HashSize; i < width && err == nil; i++ {
			var below []byte
			if below, err = r.tile(level-1, n*tileWidth+int64(i), tileWidth); err == nil {
				root := subtree(below)
				data = append(data, root[:]...)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	r.tiles[place] = data
	return data[:width*tlog.HashSize], nil
}

// root returns the root of the tree over the first size entries.
func (r *treeReader) root(size int64) (evidence.Hash, error) {
	f, err := r.frontier(size)
	if err != nil {
		return evidence.Hash{}, err
	}
	return f.Root(), nil
}

// frontier returns the tree over the first size entries, to go on from.
func (r *treeReader) frontier(size int64) (*evidence.Frontier, error) {
	f := &evidence.Frontier{}
	for level := 62; level >= 0; level-- {
		if size&(1<<level) == 0 {
			continue
		}
		hashes, err := r.ReadHashes([]int64{tlog.StoredHashIndex(level, f.Size()>>level)})
		if err != nil {
			return nil, err
		}
		f.AddSubtree(level, hashes[0])
	}
	return f, nil
}

// tilesKept bounds how many tiles a reader keeps that is asked for much.
const tilesKept = 256

// span returns the root over the leaves from one number up to, without it,
// another. It is for those that a tree has a root over: where they begin, a
// complete subtree of at least their number begins.
func (r *treeReader) span(from, to int64) (evidence.Hash, error) {
	if len(r.tiles) > tilesKept {
		clear(r.tiles)
	}
	f := &evidence.Frontier{}
	for level := 62; level >= 0; level-- {
		if (to-from)&(1<<level) == 0 {
			continue
		}
		hashes, err := r.ReadHashes([]int64{tlog.StoredHashIndex(level, (from+f.Size())>>level)})
		if err != nil {
			return evidence.Hash{}, err
		}
		f.AddSubtree(level, hashes[0])
	}
	return f.Root(), nil
}

func subtree(tile []byte) evidence.Hash {
	var leaves [tileWidth]evidence.Hash
	for i := range leaves {
		leaves[i] = evidence.Hash(tile[i*tlog.HashSize:])
	}
	return evidence.Subtree(leaves[:])
}

// readLeaves returns the leaves of n entries of the ledger after the entry after,
// one behind the other. It is an error if one of them is missing.
func readLeaves(ctx context.Context, q sqlx.QueryerContext, after int64, n int) ([]byte, error) {
	leaves := make([]byte, 0, n*tlog.HashSize)
	next := after
	err := eachRow(ctx, q, "SELECT seq, leaf FROM ledger WHERE seq > ? AND seq <= ? ORDER BY seq", []any{after, after + int64(n)},
		func(row scanner) error {
			var seq int64
			var leaf sql.RawBytes
			if err := row.Scan(&seq, &leaf); err != nil {
				return err
			}
			if next++; seq != next || len(leaf) != tlog.HashSize {
				return fmt.Errorf("entry %d of the ledger has no leaf: run 'auditadmin verify'", next)
			}
			leaves = append(leaves, leaf...)
			return nil
		})
	if err == nil && len(leaves) != n*tlog.HashSize {
		err = fmt.Errorf("entry %d of the ledger is not there: run 'auditadmin verify'", next+1)
	}
	return leaves, err
}

// growSlice is how many tiles of leaves one slice of growing the tree takes:
// few enough to be read and hashed within a few milliseconds.
const growSlice = 32

// growTree brings the tiles up to the ledger's head. It is safe beside others
// that do the same.
func (s *Store) growTree(ctx context.Context) error {
	for {
		more, err := s.growTreeSlice(ctx)
		if err != nil {
			return fmt.Errorf("build the tree over the ledger: %w", s.dialect.classify(err))
		}
		if !more {
			return nil
		}
	}
}

func (s *Store) growTreeSlice(ctx context.Context) (more bool, err error) {
	done, err := tileCount(ctx, s.worker(), 1)
	if err != nil {
		return false, err
	}
	var head int64
	if err := s.worker().GetContext(ctx, &head, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return false, err
	}
	n := min(head/tileWidth-done, growSlice)
	if n <= 0 {
		return false, nil
	}
	leaves, err := readLeaves(ctx, s.worker(), done*tileWidth, int(n)*tileWidth)
	if err != nil {
		return false, err
	}
	var roots []byte
	for i := range int(n) {
		root := subtree(leaves[i*tileWidth*tlog.HashSize:])
		roots = append(roots, root[:]...)
	}
	err = s.writeDerived(ctx, "build the tree over the ledger", func(tx *writeTx) error {
		now, err := tileCount(tx.ctx, tx, 1)
		if err != nil || now != done {
			return err // somebody else was here: look again
		}
		return tx.addTiles(1, done, roots)
	})
	return true, err
}

// tileCount returns how many hashes of a level are stored.
func tileCount(ctx context.Context, q sqlx.QueryerContext, level int64) (int64, error) {
	var count []int64
	err := sqlx.SelectContext(ctx, q, &count, "SELECT n * ? + length(hashes) / ? FROM tile WHERE level = ? ORDER BY n DESC LIMIT 1", tileWidth, tlog.HashSize, level)
	if err != nil || len(count) == 0 {
		return 0, err
	}
	return count[0], nil
}

// addTiles appends hashes to a level that holds count of them, and what they
// make complete to the levels above.
func (tx *writeTx) addTiles(level, count int64, hashes []byte) error {
	for len(hashes) > 0 {
		n, have := count/tileWidth, count%tileWidth
		part := min((tileWidth-have)*tlog.HashSize, int64(len(hashes)))
		_, err := tx.ExecContext(tx.ctx, "INSERT INTO tile (level, n, hashes) VALUES (?, ?, ?)"+
			" ON CONFLICT (level, n) DO UPDATE SET hashes = "+tx.dialect.joined("tile.hashes", "excluded.hashes"), level, n, hashes[:part])
		if err != nil {
			return err
		}
		count, hashes = count+part/tlog.HashSize, hashes[part:]
		if count%tileWidth != 0 {
			continue
		}
		var full []byte
		if err := tx.GetContext(tx.ctx, &full, "SELECT hashes FROM tile WHERE level = ? AND n = ?", level, n); err != nil {
			return err
		}
		if len(full) != tileWidth*tlog.HashSize {
			return fmt.Errorf("tile %d of level %d has %d bytes", n, level, len(full))
		}
		root := subtree(full)
		if err := tx.addTiles(level+1, n, root[:]); err != nil {
			return err
		}
	}
	return nil
}
