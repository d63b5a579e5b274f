package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

// signInFlags say how people sign in.
type signInFlags struct {
	RequireSecondFactor  bool     `name:"require-second-factor" environment:"AUDITADMIN_REQUIRE_SECOND_FACTOR" help:"Let a superuser without a second factor do nothing but set one up."`
	OIDCIssuer           string   `name:"oidc-issuer" environment:"AUDITADMIN_OIDC_ISSUER" placeholder:"URL" help:"Let people sign in by OpenID Connect, at this issuer."`
	OIDCClientID         string   `name:"oidc-client-id" environment:"AUDITADMIN_OIDC_CLIENT_ID" placeholder:"ID" help:"What the issuer calls this server."`
	OIDCClientSecretFile string   `name:"oidc-client-secret-file" environment:"AUDITADMIN_OIDC_CLIENT_SECRET_FILE" placeholder:"FILE" help:"A file with the secret that the issuer gave for it."`
	OIDCRoleClaim        string   `name:"oidc-role-claim" environment:"AUDITADMIN_OIDC_ROLE_CLAIM" default:"roles" placeholder:"CLAIM" help:"The claim that says what somebody may do; dots lead into objects, as in realm_access.roles."`
	OIDCRole             []string `name:"oidc-role" environment:"AUDITADMIN_OIDC_ROLE" sep:";" placeholder:"VALUE=ROLE" help:"Which value of the claim gives which role, such as audit-admins=superuser; may be repeated. Who has none does not come in."`
	OIDCNameClaim        string   `name:"oidc-name-claim" environment:"AUDITADMIN_OIDC_NAME_CLAIM" default:"preferred_username" placeholder:"CLAIM" help:"The claim by which an account is named when it is made."`
	OIDCScope            []string `name:"oidc-scope" environment:"AUDITADMIN_OIDC_SCOPE" placeholder:"SCOPE" help:"A scope to ask for beside openid and profile, such as groups; may be repeated."`
	BreakGlass           string   `name:"break-glass" environment:"AUDITADMIN_BREAK_GLASS" placeholder:"NAME" help:"Switch passwords off for all accounts but this one, which is for the day the issuer does not answer."`
}

// issuer reads the flags about OpenID Connect, and returns nil where they name no
// issuer.
func (f *signInFlags) issuer(public *url.URL) (*authz.IssuerOptions, error) {
	if f.OIDCIssuer == "" {
		if f.OIDCClientID != "" || f.OIDCClientSecretFile != "" || len(f.OIDCRole) > 0 || f.BreakGlass != "" {
			return nil, usageError{errors.New("signing in by OpenID Connect needs --oidc-issuer; without it leave out --oidc-client-id, --oidc-client-secret-file, --oidc-role and --break-glass")}
		}
		return nil, nil
	}
	u, err := url.Parse(f.OIDCIssuer)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return nil, usageError{fmt.Errorf("--oidc-issuer %s: give the address that the issuer calls itself, with https", f.OIDCIssuer)}
	case public == nil:
		return nil, usageError{errors.New("--oidc-issuer needs --public-url: the issuer sends people back to that address")}
	case f.OIDCClientID == "":
		return nil, usageError{errors.New("--oidc-issuer needs --oidc-client-id: what the issuer calls this server")}
	case len(f.OIDCRole) == 0:
		return nil, usageError{errors.New("--oidc-issuer needs --oidc-role, such as --oidc-role audit-admins=superuser; without one nobody comes in")}
	}
	roles, err := authz.ParseIssuerRoles(f.OIDCRole)
	if err != nil {
		return nil, usageError{fmt.Errorf("--oidc-role: %w", err)}
	}
	o := &authz.IssuerOptions{URL: f.OIDCIssuer, ClientID: f.OIDCClientID, Callback: strings.TrimSuffix(public.String(), "/") + "/login/issuer/callback",
		Scopes: f.OIDCScope, RoleClaim: f.OIDCRoleClaim, Roles: roles, NameClaim: f.OIDCNameClaim}
	if f.OIDCClientSecretFile != "" {
		secret, err := os.ReadFile(f.OIDCClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("read --oidc-client-secret-file: %w", err)
		}
		if o.ClientSecret = strings.TrimSpace(string(secret)); o.ClientSecret == "" {
			return nil, fmt.Errorf("--oidc-client-secret-file %s is empty", f.OIDCClientSecretFile)
		}
	}
	return o, nil
}

// checkBreakGlass refuses to switch passwords off for everybody: the one account
// that keeps its own has to be there.
func (f *signInFlags) checkBreakGlass(p *process, store *db.Store) error {
	if f.BreakGlass == "" {
		return nil
	}
	a, err := store.Account(p.ctx, f.BreakGlass)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return fmt.Errorf("--break-glass %s: there is no account of that name; create it with: auditadmin user create %s --role superuser", f.BreakGlass, quoted(f.BreakGlass))
	case err != nil:
		return err
	case a.Issuer != "" || a.Disabled || a.Role != db.RoleSuperuser:
		return fmt.Errorf("--break-glass %s: it has to be a superuser with a password here who is not disabled", f.BreakGlass)
	}
	return nil
}

// loopback reports whether a host is this machine itself.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
