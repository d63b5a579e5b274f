package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/internal/db"
)

// serving starts a server as the command does and returns its address.
func serving(t *testing.T, a address) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	store, err := db.Open(ctx, filepath.Join(t.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema})
	if err != nil {
		t.Fatal(err)
	}
	a.Addr = "127.0.0.1:0"
	place, err := a.listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- place.serve(&process{ctx: ctx, stdout: io.Discard, stderr: io.Discard, now: time.Now}, store, func() { close(ready) })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		store.Close()
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	return place.Addr().String()
}

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key, roots = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key, roots
}

// TestT2_TLS speaks to the server in each version and with weak ciphers: it takes
// TLS 1.2 and 1.3 with ephemeral keys and authenticated encryption, and no http.
//
// ASVS:V12.1.1 ASVS:V12.1.2 ASVS:V12.2.1 ASVS:V11.3.2 ASVS:V4.1.2
func TestT2_TLS(t *testing.T) {
	cert, key, roots := certificate(t)
	at := serving(t, address{TLSCert: cert, TLSKey: key})
	dial := func(c *tls.Config) (uint16, error) {
		c.RootCAs = roots
		conn, err := tls.Dial("tcp", at, c)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		return conn.ConnectionState().Version, nil
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := dial(&tls.Config{MinVersion: version, MaxVersion: version}); err == nil {
			t.Errorf("%s is spoken", tls.VersionName(version))
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if got, err := dial(&tls.Config{MinVersion: version, MaxVersion: version}); err != nil || got != version {
			t.Errorf("%s: got %s, %v", tls.VersionName(version), tls.VersionName(got), err)
		}
	}
	if got, err := dial(&tls.Config{}); err != nil || got != tls.VersionTLS13 {
		t.Errorf("without a wish: got %s, %v; want TLS 1.3", tls.VersionName(got), err)
	}
	for _, suite := range tls.InsecureCipherSuites() {
		if _, err := dial(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}); err == nil {
			t.Errorf("%s is spoken", suite.Name)
		}
	}
	// Plain http at that address is told so, shows nothing, and leads nowhere.
	resp, err := http.Get("http://" + at + "/audit-logs.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
		t.Errorf("http where https is spoken: got %d %q, want 400", resp.StatusCode, body)
	}
	// Over it, the cookie is one that only this very host gets back.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	page, err := client.Get("https://" + at + "/login?theme=dark")
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	if page.Header.Get("Strict-Transport-Security") == "" {
		t.Error("https without Strict-Transport-Security")
	}
	for _, c := range page.Cookies() {
		if !c.Secure || !c.HttpOnly || c.Domain != "" {
			t.Errorf("a cookie over https that is not Secure and HttpOnly: %s", c.Raw)
		}
	}
}

// TestT10_SlowCallers opens many connections that never end their request: others
// are served, and each is closed when its time is over.
//
// ASVS:V2.4.1 ASVS:V15.2.2
func TestT10_SlowCallers(t *testing.T) {
	at := serving(t, address{})
	callers, patient := 200, os.Getenv("AUDITADMIN_TORTURE") != ""
	if patient {
		callers = 1000
	}
	var open []net.Conn
	for range callers {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	for range 20 {
		resp, err := http.Get("http://" + at + "/healthz")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("beside %d slow callers: %v, %v", callers, resp, err)
		}
		resp.Body.Close()
	}
	if headerTime > 5*time.Second || bodyTime > time.Minute || headerBytes > 64<<10 {
		t.Errorf("a caller may take %v for its head, %v for its body and %d bytes", headerTime, bodyTime, headerBytes)
	}
	if !patient {
		open = open[:1]
	}
	for _, c := range open {
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(c); err != nil || strings.HasPrefix(string(answer), "HTTP/1.1 2") {
			t.Fatalf("a caller that never ends its request: got %q, %v; want its end", answer, err)
		}
	}
}

// TestBoundariesOfRequests sends requests whose end two servers could see in two
// places: each is refused, or its end is where the standard says, and no second
// request is found in the first.
//
// ASVS:V4.2.1
func TestBoundariesOfRequests(t *testing.T) {
	at := serving(t, address{})
	const smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, head := range map[string]string{
		"two lengths":              "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 36\r\n\r\n",
		"a list of lengths":        "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 36\r\n\r\n",
		"a length with a sign":     "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n",
		"an unknown coding":        "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
		"two codings":              "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
		"a space before the colon": "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
		"a folded header":          "POST /login HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n",
		"a bare CR in a header":    "POST /login HTTP/1.1\r\nHost: x\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n",
		"two hosts":                "POST /login HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"no host":                  "POST /login HTTP/1.1\r\n\r\n",
		"a NUL":                    "POST /login HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
		"a huge head":              "POST /login HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 200<<10) + "\r\n\r\n",
	} {
		if codes := spoken(t, at, head+smuggled); len(codes) != 1 || codes[0] < 400 {
			t.Errorf("%s: got answers %v, want one refusal", name, codes)
		}
	}
	// Where both are there, the length does not count and the connection ends.
	both := "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	if codes := spoken(t, at, both+smuggled); len(codes) > 2 || len(codes) == 0 {
		t.Errorf("a length beside chunks: got answers %v", codes)
	}
}

// spoken sends bytes and returns the statuses of all answers.
func spoken(t *testing.T, at, text string) (codes []int) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		_, _ = io.WriteString(c, text)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	all, _ := io.ReadAll(c) // a reset after a refusal is an end, too
	in := bufio.NewReader(bytes.NewReader(all))
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return codes
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		codes = append(codes, resp.StatusCode)
	}
}

// TestT13_Terminal prints what a stranger may have recorded: a terminal obeys
// none of it.
//
// ASVS:V16.4.1
func TestT13_Terminal(t *testing.T) {
	var out bytes.Buffer
	table := newTable("a", "b")
	for r := rune(0); r < 0x3000; r++ {
		table.row(fmt.Sprintf("x%cy", r), string([]byte{0x9b, 0xff}))
	}
	if err := table.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Errorf("%U goes to the terminal", r)
		}
	}
}

// TestNobodyIsThereAtFirst opens a fresh database: it has no account, no token and
// no password, and nobody can sign in.
//
// ASVS:V6.3.2 ASVS:V13.2.3
func TestNobodyIsThereAtFirst(t *testing.T) {
	store, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	accounts, err := store.Accounts(t.Context())
	if err != nil || len(accounts) != 0 {
		t.Errorf("got %d accounts, %v; want none", len(accounts), err)
	}
	tokens, err := store.Tokens(t.Context())
	if err != nil || len(tokens) != 0 {
		t.Errorf("got %d tokens, %v; want none", len(tokens), err)
	}
}

// TestConnectionsOutAreEncrypted: whom the program speaks to has to be spoken to
// over https, except on this machine.
//
// ASVS:V12.3.1
func TestConnectionsOutAreEncrypted(t *testing.T) {
	public := &url.URL{Scheme: "https", Host: "audit.example"}
	for place, taken := range map[string]bool{"https://witness.example/add": true, "http://127.0.0.1:9/add": true, "http://witness.example/add": false, "ftp://witness.example/": false, "//witness.example": false, "http://127.0.0.1.evil.example/": false, "http://localhost.evil.example/": false} {
		if _, _, err := (sinkFlag{CheckpointTo: []string{place}}).sinks(&process{stdout: io.Discard}); (err == nil) != taken {
			t.Errorf("--checkpoint-to %s: got %v, want it taken: %v", place, err, taken)
		}
		flags := &signInFlags{OIDCIssuer: place, OIDCClientID: "x", OIDCRole: []string{"a=viewer"}}
		if _, err := flags.issuer(public); (err == nil) != taken {
			t.Errorf("--oidc-issuer %s: got %v, want it taken: %v", place, err, taken)
		}
	}
}
