package db

import (
	"context"
	"errors"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

var errStub = errors.New("not built yet")

type appendRequest struct{}
type columns struct{}

func (tx *writeTx) append(events []*audit.Event) (Appended, error) { return Appended{}, errStub }
func (s *Store) write(ctx context.Context, op string, fn func(tx *writeTx) error) error {
	return errStub
}

func Open(ctx context.Context, path string, o Options) (*Store, error) { return nil, errStub }
func (s *Store) Close() error                                          { return nil }
func (s *Store) Path() string                                          { return s.path }
func (s *Store) Ping(ctx context.Context) error                        { return errStub }
func (s *Store) Now() time.Time                                        { return s.now() }
func (s *Store) SQLiteVersion(ctx context.Context) (string, error)     { return "", errStub }
func (s *Store) MaskKey(ctx context.Context) ([]byte, error)           { return nil, errStub }
func (s *Store) Append(ctx context.Context, e []*audit.Event) (Appended, error) {
	return Appended{}, errStub
}
func (s *Store) Index(ctx context.Context) error { return errStub }
func (s *Store) Get(ctx context.Context, kind audit.Kind, id int64) (*Stored, error) {
	return nil, errStub
}
func (s *Store) Decisions(ctx context.Context, kind audit.Kind, id int64) ([]Decision, error) {
	return nil, errStub
}

type Selection struct{}

func (s *Store) Select(ctx context.Context, f *query.Filter) (*Selection, error) { return nil, errStub }
func (sel *Selection) UpTo() int64                                               { return 0 }
func (sel *Selection) List(ctx context.Context, p Page) (*List, error)           { return nil, errStub }
func (sel *Selection) Count(ctx context.Context) (Count, error)                  { return Count{}, errStub }
func (sel *Selection) Facets(ctx context.Context, top int) ([]Facet, error)      { return nil, errStub }
func (sel *Selection) Facet(ctx context.Context, key string, top int) (Facet, error) {
	return Facet{}, errStub
}
func (sel *Selection) Timeline(ctx context.Context, by Step) (*Timeline, error) { return nil, errStub }
func (sel *Selection) Sieve(ctx context.Context) (*Sieve, error)                { return nil, errStub }
func (sel *Selection) Each(ctx context.Context, fn func(*Stored) error) error   { return errStub }
func (s *Store) Values(ctx context.Context, kind audit.Kind, key, prefix string, limit int) ([]FacetValue, error) {
	return nil, errStub
}
func (s *Store) Neighbours(ctx context.Context, st *Stored) ([]Neighbours, error) {
	return nil, errStub
}
func (s *Store) Request(ctx context.Context, requestID string, limit int) ([]*Stored, error) {
	return nil, errStub
}
func (s *Store) Object(contentType, objectID string) *query.Filter { return nil }
func (s *Store) Summary(ctx context.Context, days int, user string) (Summary, error) {
	return Summary{}, errStub
}
func (s *Store) Resolve(ctx context.Context, actor Actor, ids []int64, note string) (int, error) {
	return 0, errStub
}
func (s *Store) ResolveSelection(ctx context.Context, actor Actor, f *query.Filter, upTo, confirm int64, note string) (int, error) {
	return 0, errStub
}
func (s *Store) Reopen(ctx context.Context, actor Actor, id int64, note string) error { return errStub }
func (s *Store) Delete(ctx context.Context, actor Actor, kind audit.Kind, ids []int64, reason string) (int, error) {
	return 0, errStub
}
func (s *Store) Record(ctx context.Context, actor Actor, ev *audit.Event) error { return errStub }
