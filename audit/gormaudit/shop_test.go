package gormaudit_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/gormaudit"
)

// Customer has a name, and is deleted for good.
type Customer struct {
	ID     uint
	Name   string
	Email  string `gorm:"unique"`
	Orders []Order
}

// Order is what the tests change: with the time of its update, a soft deletion
// and associations of each kind.
type Order struct {
	ID         uint
	CustomerID *uint
	Customer   *Customer
	Status     string `gorm:"default:open"`
	Quantity   int
	Total      float64
	Paid       bool
	Password   string
	UpdatedAt  time.Time
	DeletedAt  gorm.DeletedAt
	Lines      []Line
	Tags       []Tag `gorm:"many2many:order_tags"`
}

// String is what an order is called.
func (o *Order) String() string { return fmt.Sprintf("Order %d", o.ID) }

// Line is a line of an order, with a key of two columns.
type Line struct {
	OrderID uint   `gorm:"primaryKey;autoIncrement:false"`
	SKU     string `gorm:"primaryKey"`
	Count   int
}

// Tag is shared by orders.
type Tag struct {
	ID   uint
	Name string
}

// Setting has hooks.
type Setting struct {
	Key   string `gorm:"primaryKey"`
	Value string
}

// BeforeSave changes what is saved.
func (s *Setting) BeforeSave(*gorm.DB) error {
	s.Value = strings.ToUpper(s.Value)
	return nil
}

// sink keeps events, and is asked by many goroutines.
type sink struct {
	mu     sync.Mutex
	events []*audit.Event
}

func (s *sink) Append(_ context.Context, events []*audit.Event) (audit.Appended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
	return audit.Appended{Accepted: len(events)}, nil
}

func (s *sink) take() []*audit.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// now is when all the orders of the tests are updated.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// shop is an application's database with everything in it that the tests change.
type shop struct {
	*gorm.DB
	raw      *sql.DB
	recorder *audit.Recorder
}

// alice is who does everything.
var alice = audit.WithUser(context.Background(), audit.User{ID: "7", Name: "alice"})

// openShop makes a shop whose changes are recorded by the plugin.
func openShop(t testing.TB, config *gorm.Config, options ...gormaudit.Option) *shop {
	t.Helper()
	s := newShop(t, sqlite.Open(file(filepath.Join(t.TempDir(), "shop.db"))), config)
	must(t, s.Use(gormaudit.New(s.recorder, options...)))
	return s
}

// file is a database of SQLite as applications should open it.
func file(path string) string { return "file:" + path + "?_journal_mode=WAL&_busy_timeout=5000" }

// newShop makes a database of two customers, three orders, two lines and two
// tags, of which nothing was recorded.
func newShop(t testing.TB, dialector gorm.Dialector, config *gorm.Config) *shop {
	t.Helper()
	config.Logger = logger.Discard
	config.NowFunc = func() time.Time { return now }
	s := &shop{}
	var err error
	s.DB, err = gorm.Open(dialector, config)
	must(t, err)
	s.raw, err = s.DB.DB()
	must(t, err)
	t.Cleanup(func() { s.raw.Close() })
	must(t, s.AutoMigrate(&Customer{}, &Order{}, &Line{}, &Tag{}, &Setting{}))
	a, b := uint(1), uint(2)
	must(t, s.Create([]Customer{{Name: "Ada", Email: "ada@example.com"}, {Name: "Ben", Email: "ben@example.com"}}).Error)
	must(t, s.Create([]Order{{CustomerID: &a, Quantity: 1, Total: 10}, {CustomerID: &a, Quantity: 2, Total: 20}, {CustomerID: &b, Quantity: 3, Total: 30}}).Error)
	must(t, s.Create([]Line{{1, "A", 1}, {1, "B", 2}}).Error)
	must(t, s.Create([]Tag{{Name: "red"}, {Name: "blue"}}).Error)
	s.recorder, err = audit.New(&sink{}, audit.Strict())
	must(t, err)
	s.DB = s.DB.WithContext(alice)
	return s
}

// recorded takes the events out of the inbox, each as
// "UPDATE orders 1 {…changes…}", or with what is said of what is unattributed.
func (s *shop) recorded(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, e := range s.events(t) {
		text := e.Get("action") + " " + e.Get("content_type") + " " + e.Get("object_id")
		if e.Get("username") != "alice" {
			text += " by " + e.Get("username")
		}
		if c := e.Get("changes"); c != "" {
			text += " " + c
		}
		if m := e.Get("metadata"); m != "" {
			text += " " + m
		}
		all = append(all, text)
	}
	return all
}

func (s *shop) events(t testing.TB) []*audit.Event {
	t.Helper()
	rows, err := s.raw.Query("SELECT event FROM auditadmin_inbox ORDER BY id")
	must(t, err)
	defer rows.Close()
	var all []*audit.Event
	for rows.Next() {
		var line string
		must(t, rows.Scan(&line))
		e, err := audit.DecodeEvent([]byte(line), audit.DecodeOptions{Import: true})
		must(t, err)
		all = append(all, e)
	}
	must(t, rows.Close())
	_, err = s.raw.Exec("DELETE FROM auditadmin_inbox")
	must(t, err)
	return all
}

// unattributed reports whether an event says that it could not be told.
func unattributed(e *audit.Event) bool {
	var m struct{ Unattributed string }
	return json.Unmarshal([]byte(e.Get("metadata")), &m) == nil && m.Unattributed != ""
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
