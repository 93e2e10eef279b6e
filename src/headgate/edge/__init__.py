"""What both edges share: from an HTTP request to a call, and from a reply to an HTTP answer."""
