package templates

import "strconv"

// AskPage asks again who sends a form: a POST form to where it was sent, with all
// it held and the answer.
type AskPage struct {
	Layout
	Action string
	Does   string // "delete audit logs"
	Name   string
	Field  string // of the answer
	Label  string // "Your password, or a code of your second factor"
	Hint   string
	Error  string
	Wait   string // after Error: when to try again
	Hidden []Hidden
	// Again are the fields with secrets, which no page sends back: they are typed
	// once more.
	Again []AskAgain
	// IssuerHref signs in again at the issuer, in a tab of its own; "" where the
	// answer is typed here.
	IssuerHref string
	IssuerName string
	Cancel     Link
}

// AskAgain is a secret that was in the form.
type AskAgain struct{ Name, Label string }

// CodePage asks for the code of a second factor: a POST form with the fields code
// and next.
type CodePage struct {
	Layout
	Action string
	Name   string // of the account
	Next   string
	Back   string // to sign in as somebody else
	Error  string
	Hint   string
}

func qrBox(q QR) string {
	size := strconv.Itoa(q.Size)
	return "0 0 " + size + " " + size
}
