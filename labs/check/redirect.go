package check

import "net/http"

// stays follows redirections to the same address only: a container's answer must not send this machine to another one.
func stays(request *http.Request, via []*http.Request) error {
	if request.URL.Scheme != via[0].URL.Scheme || request.URL.Host != via[0].URL.Host || len(via) >= 5 {
		return http.ErrUseLastResponse
	}
	return nil
}
