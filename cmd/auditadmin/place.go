package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/evidence"
	"github.com/auditadmin/auditadmin/internal/handlers"
)

// Limits of a connection. They keep a slow or silent caller from holding one;
// an export gives each of its writes a deadline of its own.
const (
	headerTime  = 5 * time.Second
	bodyTime    = time.Minute
	answerTime  = time.Minute
	idleTime    = 2 * time.Minute
	headerBytes = 64 << 10
	closingTime = 10 * time.Second // for answers that are on their way at the end
)

// address is where and how to serve.
type address struct {
	Addr         string   `environment:"AUDITADMIN_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen; port 0 takes a free one."`
	PublicURL    string   `name:"public-url" environment:"AUDITADMIN_PUBLIC_URL" placeholder:"URL" help:"The address people use, such as https://audit.example.com. With https every cookie is Secure."`
	TrustedProxy []string `environment:"AUDITADMIN_TRUSTED_PROXY" placeholder:"CIDR" help:"A network whose X-Forwarded-For is believed; may be repeated."`
	TLSCert      string   `name:"tls-cert" environment:"AUDITADMIN_TLS_CERT" placeholder:"FILE" help:"Serve https with this certificate chain in PEM."`
	TLSKey       string   `name:"tls-key" environment:"AUDITADMIN_TLS_KEY" placeholder:"FILE" help:"The key of the certificate in PEM."`
}

// place is where the program listens, with what is known about it.
type place struct {
	net.Listener
	tls     *tls.Config // nil for plain http
	public  *url.URL    // nil if not given
	proxies []netip.Prefix
	places  audit.Locator // nil if not given
	signIn  *signInFlags
	issuer  *authz.IssuerOptions // nil if not given
	sinks   []db.Sink            // where checkpoints are handed out
	seen    []*evidence.Checkpoint
}

// listen checks the flags and takes the port.
func (a *address) listen(ctx context.Context) (*place, error) {
	s := place{signIn: &signInFlags{}}
	var err error
	if s.public, err = publicURL(a.PublicURL); err != nil {
		return nil, usageError{err}
	}
	if s.proxies, err = networks(a.TrustedProxy); err != nil {
		return nil, usageError{err}
	}
	if (a.TLSCert == "") != (a.TLSKey == "") {
		return nil, usageError{errors.New("--tls-cert and --tls-key belong together; give both or none")}
	}
	if a.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(a.TLSCert, a.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("load the certificate %s and its key %s: %w", a.TLSCert, a.TLSKey, err)
		}
		s.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if _, _, err := net.SplitHostPort(a.Addr); err != nil {
		return nil, usageError{fmt.Errorf("--addr %s: give a host and a port, such as 127.0.0.1:8080", a.Addr)}
	}
	s.Listener, err = new(net.ListenConfig).Listen(ctx, "tcp", a.Addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s is in use by another program; stop that one, or choose another port with --addr", a.Addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s; choose a port above 1023 with --addr", a.Addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("the address %s does not belong to this machine; choose another with --addr", a.Addr)
	case err != nil:
		return nil, fmt.Errorf("listen on --addr %s: %w", a.Addr, err)
	}
	return &s, nil
}

// url is the address to open in a browser.
func (s *place) url() string {
	if s.public != nil {
		return s.public.String()
	}
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		host = "localhost" // listening everywhere, this among the addresses
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// insecure reports whether passwords may travel in plain http beyond this machine.
func (s *place) insecure() bool {
	listening, ok := s.Addr().(*net.TCPAddr)
	return s.tls == nil && (s.public == nil || s.public.Scheme != "https") && ok && !listening.IP.IsLoopback()
}

// serve answers requests over a store until the process is interrupted, and
// then lets what is on its way arrive. It calls ready when somebody may ask.
func (s *place) serve(p *process, store *db.Store, ready func()) error {
	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	site, err := handlers.New(p.ctx, handlers.Config{
		Store: store, Version: version, PublicURL: s.public, TrustedProxies: s.proxies, Places: s.places, Insecure: s.insecure(), Now: p.now, Log: log,
		RequireFactor: s.signIn.RequireSecondFactor, Issuer: s.issuer, BreakGlass: s.signIn.BreakGlass,
	})
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           site,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       bodyTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken connections are not news
	}

	beside, stop := context.WithCancel(p.ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	work.Go(func() { site.Run(beside) })
	if store.Writable() {
		begun := s.beginEvidence(p, store, log)
		work.Go(func() {
			for !begun {
				select {
				case <-time.After(evidenceAgain):
				case <-beside.Done():
					return
				}
				begun = s.beginEvidence(p, store, log)
			}
			store.KeepEvidence(beside, db.CheckpointEvery, s.sinks, func(err error) { log.Error("evidence", "error", err) })
		})
	}

	served := make(chan error, 1)
	go func() {
		if s.tls != nil {
			server.TLSConfig = s.tls
			served <- server.ServeTLS(s.Listener, "", "")
			return
		}
		served <- server.Serve(s.Listener)
	}()
	ready()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-p.ctx.Done():
	}
	if errors.Is(context.Cause(p.ctx), errWritable) {
		p.say("the database can be written again: going on with everything")
	} else {
		p.say("closing")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), closingTime)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("some answers were broken off at the end: %w", err), server.Close())
	}
	return nil
}

// evidenceAgain is how long after the evidence could not begin it is tried again.
const evidenceAgain = time.Minute

// beginEvidence makes the store ready to be vouched for, and reports whether it
// is. What is wrong with its evidence keeps nobody from reading and recording: it
// is said, and verify says where.
func (s *place) beginEvidence(p *process, store *db.Store, log *slog.Logger) bool {
	fresh, err := store.BeginEvidence(p.ctx, s.seen...)
	switch {
	case errors.Is(err, db.ErrNoKeys):
		p.say("warning: this server signs no checkpoints: %v", err)
	case err != nil:
		log.Error("no checkpoints are made", "error", err)
	case fresh != nil:
		log.Warn("the database goes on from an earlier state", "reason", fresh.Reason, "incarnation", fresh.Name, "entry", fresh.Seq)
	}
	for _, sink := range s.sinks {
		if w, ok := sink.(*witness); ok {
			w.prove = store.Consistency
		}
	}
	return err == nil
}

// publicURL reads --public-url: a scheme and a host, and nothing more.
func publicURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("--public-url %s: give a scheme and a host without a path, such as https://audit.example.com", text)
	}
	u.Path = ""
	return u, nil
}

// networks reads --trusted-proxy: networks, or single addresses.
func networks(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			var one netip.Addr
			if one, err = netip.ParseAddr(text); err == nil {
				network, err = one.Prefix(one.BitLen())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxy %s: give a network such as 10.0.0.0/8, or one address", text)
		}
		all = append(all, network.Masked())
	}
	return all, nil
}

// quoted writes a path so that a shell takes it as one word.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t\n'\"\\$`!*?[](){}<>|&;~#") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
