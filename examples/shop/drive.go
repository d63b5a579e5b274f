package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// visitor is a browser somewhere in the world. The shop believes the machine it
// runs on about addresses, as it would believe its proxy.
type visitor struct {
	shop    string
	address string
	agent   string
	client  *http.Client
	err     error // the first one
}

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	safari  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)

func newVisitor(shop, address, agent string) *visitor {
	jar, _ := cookiejar.New(nil) // never fails
	return &visitor{shop: shop, address: address, agent: agent,
		client: &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// send makes a request and returns where it leads on.
func (v *visitor) send(ctx context.Context, method, path string, form ...string) (next string) {
	values := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r, err := http.NewRequestWithContext(ctx, method, v.shop+path, strings.NewReader(values.Encode()))
	if err == nil {
		r.Header.Set("User-Agent", v.agent)
		r.Header.Set("X-Forwarded-For", v.address)
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		var w *http.Response
		if w, err = v.client.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, w.Body)
			w.Body.Close()
			return w.Header.Get("Location")
		}
	}
	if v.err == nil {
		v.err = err
	}
	return ""
}

func (v *visitor) get(ctx context.Context, path string) string {
	return v.send(ctx, http.MethodGet, path)
}

func (v *visitor) post(ctx context.Context, path string, form ...string) string {
	return v.send(ctx, http.MethodPost, path, form...)
}

func (v *visitor) signIn(ctx context.Context, name, password string) {
	v.post(ctx, "/sign-in", "name", name, "password", password)
}

// visit is one day in the shop: what everybody does once.
func visit(ctx context.Context, shop string) error {
	anna := newVisitor(shop, "203.0.113.24", firefox)
	ben := newVisitor(shop, "198.51.100.7", safari)
	stranger := newVisitor(shop, "192.0.2.66", "python-requests/2.32.3")
	attacker := newVisitor(shop, "192.0.2.200", "sqlmap/1.8.4#stable (https://sqlmap.org)")

	// A clerk takes orders, looks at them, and makes mistakes.
	ben.signIn(ctx, "ben", "te at five")
	ben.signIn(ctx, "ben", staffPassword)
	ben.get(ctx, "/")
	first := ben.post(ctx, "/orders", "customer", "Lea Martin", "product", "1", "quantity", "2", "note", "gift wrap, please")
	second := ben.post(ctx, "/orders", "customer", "Tom Huber", "product", "3", "quantity", "6")
	third := ben.post(ctx, "/orders", "customer", "Ida Nyström", "product", "5", "quantity", "1", "note", "card 4111 1111 1111 1111, ring twice")
	ben.post(ctx, "/orders", "customer", "Tom Huber", "product", "2", "quantity", "5000") // more than there are: nothing happens
	ben.get(ctx, first)
	ben.post(ctx, first+"/status", "status", "paid", "note", "gift wrap, please")
	ben.post(ctx, first+"/status", "status", "sent", "note", "gift wrap in blue, please")
	ben.post(ctx, third+"/status", "status", "refunded", "reason", "customer found it cheaper")
	ben.post(ctx, second+"/delete", "reason", "ordered twice")
	ben.get(ctx, "/stock")
	ben.get(ctx, "/admin") // which is not his to see

	// The manager looks after the shop, and finds a page that breaks.
	anna.signIn(ctx, "anna", staffPassword)
	anna.get(ctx, "/admin")
	anna.post(ctx, "/admin/prices", "percent", "2", "reason", "new tariff of the potter")
	anna.post(ctx, "/admin/staff/3", "role", "manager", "reason", "stands in for Anna in June")
	anna.post(ctx, "/admin/staff/3", "password", "oolong at six")
	anna.get(ctx, "/orders.csv")
	anna.get(ctx, "/orders.csv?status=sent")
	anna.get(ctx, "/slow")
	anna.get(ctx, "/broken")
	anna.post(ctx, "/admin/staff/3", "role", "clerk", "reason", "June is over")

	// Somebody guesses passwords, somebody else looks for holes.
	for n := range mostFailures + 2 {
		stranger.signIn(ctx, "carla", fmt.Sprintf("password%d", n))
	}
	for _, path := range []string{"/orders/1%27%20UNION%20SELECT%20name,password%20FROM%20users--", "/.git/config", "/.env", "/..%2f..%2f..%2fetc%2fpasswd",
		"/?q=%3Cscript%3Ealert(1)%3C/script%3E", "/wp-login.php", "/phpmyadmin/index.php", "/cgi-bin/luci"} {
		attacker.get(ctx, path)
	}
	ben.post(ctx, "/sign-out")
	anna.post(ctx, "/sign-out")
	for _, v := range []*visitor{anna, ben, stranger, attacker} {
		if v.err != nil {
			return fmt.Errorf("click through the shop: %w", v.err)
		}
	}
	return nil
}

// keepVisiting visits the shop again and again until ctx ends.
func keepVisiting(ctx context.Context, shop string) error {
	for wait := time.Duration(0); ; wait = 20 * time.Second {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if err := visit(ctx, shop); err != nil && ctx.Err() == nil {
			return err
		}
	}
}
