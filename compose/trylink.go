package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// linkPatience is how long one link may take to answer.
const linkPatience = 10 * time.Second

// LinkTrier returns a TryLink that asks the link's server for the page's head,
// or for the page where it has no answer to that, and follows up to five
// redirects. It sends no cookies and says nothing about any recipient.
func LinkTrier(transport http.RoundTripper) func(ctx context.Context, address string) error {
	client := &http.Client{
		Transport: transport, Timeout: linkPatience,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 5 {
				return errors.New("it leads on and on")
			}
			return nil
		},
	}
	try := func(ctx context.Context, method, address string) (int, error) {
		req, err := http.NewRequestWithContext(ctx, method, address, nil)
		if err != nil {
			return 0, err
		}
		req.Header.Set("User-Agent", "Postroom (link check)")
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // so that the connection can be used again
		return res.StatusCode, res.Body.Close()
	}
	return func(ctx context.Context, address string) error {
		code, err := try(ctx, http.MethodHead, address)
		if err == nil && code >= 400 {
			code, err = try(ctx, http.MethodGet, address)
		}
		switch {
		case err != nil:
			return err
		case code == http.StatusTooManyRequests || code == http.StatusForbidden || code == http.StatusUnauthorized:
			return nil // it is there, and does not talk to programs
		case code >= 400:
			return fmt.Errorf("%d %s", code, http.StatusText(code))
		}
		return nil
	}
}
