// Package torture has no code of its own. Its tests do to the real program, on
// real files and on a real PostgreSQL, what power supplies, disks, networks,
// operators and other programs do to it, and count what that cost: events that
// were acknowledged and are gone (lost), that nobody sent (phantom), and that are
// there twice (doubled).
//
// Each test has the number of its fault, R1 to R20, in its name. `make test`
// runs a quick form of all of them; `make torture` the long one, whose figures
// are in docs/security.md, and prints one table. Where a harness could be blind,
// a control runs beside it in which something is broken on purpose: the control
// has to lose.
package torture
