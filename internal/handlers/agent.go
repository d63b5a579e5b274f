package handlers

import "strings"

// agents and systems are how user agents name programs and systems, each before
// the ones that imitate its name. The list is short on purpose: the whole text
// is one click away, and a wrong guess is worse than none.
var (
	agents = []struct{ sign, name string }{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"},
		{"HeadlessChrome/", "Headless Chrome"}, {"Chrome/", "Chrome"}, {"Version/", "Safari"},
		{"curl/", "curl"}, {"Wget/", "Wget"}, {"python-requests/", "Python requests"}, {"Go-http-client/", "Go"},
		{"aws-cli/", "AWS CLI"}, {"Boto3/", "Boto3"}, {"PostmanRuntime/", "Postman"}, {"okhttp/", "OkHttp"},
	}
	systems = []struct{ sign, name string }{
		{"Windows NT", "Windows"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"},
		{"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	}
)

// agentName says which program a user agent is, in a few words: "Firefox 136 on
// macOS". It is "" for one that it does not know.
func agentName(agent string) string {
	name := ""
	for _, a := range agents {
		i := strings.Index(agent, a.sign)
		if i < 0 || a.name == "Safari" && !strings.Contains(agent, "Safari/") {
			continue
		}
		version := agent[i+len(a.sign):]
		end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
		if end >= 0 {
			version = version[:end]
		}
		if name = a.name; version != "" && len(version) < 6 {
			name += " " + version
		}
		break
	}
	if name == "" {
		return ""
	}
	for _, s := range systems {
		if strings.Contains(agent, s.sign) {
			return name + " on " + s.name
		}
	}
	return name
}
