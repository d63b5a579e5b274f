package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/go-chi/chi/v5"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/gormaudit"
)

// config is what a shop is opened with.
type config struct {
	database    string // a file
	spool       string // a directory
	sink        audit.Sink
	slowRequest time.Duration
}

// shop is the whole application.
type shop struct {
	db       *gorm.DB
	recorder *audit.Recorder
	log      *slog.Logger
	security func(http.Handler) http.Handler
	sessions *sessions
}

// Staff sign in. The hash of a password never reaches the audit database: the
// field's name says that it is a secret.
type Staff struct {
	ID           uint
	Name         string `gorm:"uniqueIndex"`
	Role         string
	Active       bool
	PasswordHash string
}

// TableName says that the plural of staff is staff.
func (Staff) TableName() string { return "staff" }

// Product is what the shop sells.
type Product struct {
	ID    uint
	Name  string
	Price int // in cents
	Stock int
}

// Order is what a customer buys. It is deleted softly.
type Order struct {
	ID        uint
	Customer  string
	Status    string
	Total     int // in cents
	Note      string
	Lines     []OrderLine
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt gorm.DeletedAt `gorm:"index"`
}

// String is what events call an order.
func (o Order) String() string { return fmt.Sprintf("Order %d", o.ID) }

// OrderLine is one product of an order.
type OrderLine struct {
	ID        uint
	OrderID   uint
	ProductID uint
	Quantity  int
	Price     int // in cents, as it was then
}

// open opens the shop's database and everything that is audited in it.
func open(ctx context.Context, c config) (*shop, error) {
	db, err := gorm.Open(sqlite.Open(c.database+"?_journal_mode=WAL&_busy_timeout=5000&_txlock=immediate&_foreign_keys=on"),
		&gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, fmt.Errorf("open the shop's database %s: %w", c.database, err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}

	// From here on the shop audits itself: the recorder takes events to the sink,
	// and the plugin sees every change of an order, a product or a member of staff.
	recorder, err := audit.New(c.sink, audit.SpoolDir(c.spool), audit.Source("shop"), audit.Module("shop"),
		audit.SlowRequest(c.slowRequest), audit.SkipTypes("shop.order_line"), audit.SkipPaths("/healthz"),
		audit.TrustedProxies(netip.MustParsePrefix("127.0.0.0/8")), audit.DrainEvery(pool, 200*time.Millisecond))
	if err != nil {
		return nil, err
	}
	if err := db.Use(gormaudit.New(recorder, gormaudit.App("shop"))); err != nil {
		return nil, err
	}

	security, err := audit.SecurityMiddleware(recorder, audit.SecurityOptions{})
	if err != nil {
		return nil, err
	}

	s := &shop{db: db, recorder: recorder, security: security, sessions: newSessions(),
		log: slog.New(recorder.SlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 4}), slog.LevelWarn))}
	return s, s.furnish(audit.Paused(ctx)) // what every shop begins with is nobody's deed
}

// close lets the last events arrive. The sink belongs to whoever opened it.
func (s *shop) close(ctx context.Context) error {
	pool, err := s.db.DB()
	if err != nil {
		return err
	}
	if _, err := s.recorder.Drain(ctx, pool); err != nil {
		s.log.Warn("events stay in the inbox until the next start", "error", err)
	}
	if err := s.recorder.Close(ctx); err != nil {
		return err
	}
	return pool.Close()
}

// furnish creates the tables, and what a shop needs to begin with.
func (s *shop) furnish(ctx context.Context) error {
	db := s.db.WithContext(ctx)
	if err := db.AutoMigrate(&Staff{}, &Product{}, &Order{}, &OrderLine{}); err != nil {
		return fmt.Errorf("create the shop's tables: %w", err)
	}
	var count int64
	if err := db.Model(&Staff{}).Count(&count).Error; err != nil || count > 0 {
		return err
	}
	staff := []Staff{{Name: "anna", Role: "manager", Active: true}, {Name: "ben", Role: "clerk", Active: true}, {Name: "carla", Role: "clerk", Active: true}}
	for i := range staff {
		hash, err := hashPassword(staffPassword)
		if err != nil {
			return err
		}
		staff[i].PasswordHash = hash
	}
	if err := db.Create(&staff).Error; err != nil {
		return err
	}
	return db.Create([]Product{{Name: "Teapot, blue", Price: 3450, Stock: 40}, {Name: "Teapot, white", Price: 3250, Stock: 25},
		{Name: "Cup", Price: 890, Stock: 300}, {Name: "Assam 250 g", Price: 1290, Stock: 120}, {Name: "Gift card", Price: 5000, Stock: 1000}}).Error
}

// routes is every address of the shop.
func (s *shop) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(audit.Middleware(s.recorder, audit.AnswerPanics()), s.security, http.NewCrossOriginProtection().Handler, s.identify)
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	r.Get("/sign-in", s.showSignIn)
	r.Post("/sign-in", s.signIn)
	r.Group(func(r chi.Router) {
		r.Use(s.signedIn)
		r.Post("/sign-out", s.signOut)
		r.Get("/", s.showOrders)
		r.Post("/orders", s.createOrder)
		r.Get("/orders.csv", s.exportOrders)
		r.Method("GET", "/orders/{id}", s.recorder.ViewHandler(http.HandlerFunc(s.showOrder), viewedOrder))
		r.Post("/orders/{id}/status", s.setStatus)
		r.Post("/orders/{id}/delete", s.deleteOrder)
		r.Get("/slow", s.slow)
		r.Get("/broken", s.broken)
		r.Get("/stock", s.checkStock)
	})
	r.Group(func(r chi.Router) {
		r.Use(s.signedIn, s.managersOnly)
		r.Get("/admin", s.showAdmin)
		r.Post("/admin/prices", s.raisePrices)
		r.Post("/admin/staff/{id}", s.changeStaff)
	})
	return r
}
