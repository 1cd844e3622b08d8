"""A real site's requests are no attacks: what browsers, feeds, shops and their own administrators ask for."""

from __future__ import annotations

import pytest

from producers.filters import load_native
from producers.filters.samples import scan

ORDINARY = """
GET / 200
GET /robots.txt 200
GET /sitemap.xml 200
GET /favicon.ico 200
GET /apple-touch-icon.png 200
GET /.well-known/acme-challenge/3q2-xyz 200
GET /.well-known/security.txt 200
GET /css/site.css?v=12 200
GET /js/jquery.min.js 304
GET /assets/app.3f2a1b4c.js 200
GET /images/%C3%A9t%C3%A9.jpg 200
GET /img/photo%20(1).jpg 200
GET /search?q=rock+and+roll 200
GET /search?q=drop+table+lamps 200
GET /search?q=select+a+union+jack 200
GET /search?q=O%27Reilly 200
GET /search?q=it%27s+1+of+2 200
GET /search?q=%22exact+phrase%22 200
GET /search?q=a%3Cb 200
GET /search?q=C%2B%2B 200
GET /search?q=50%25+off 200
GET /blog/2026/11/how-to-sleep-better/ 200
GET /blog/tag/linux;bash 200
GET /blog/?p=123&preview=true 200
GET /login?next=%2Faccount%2F 200
GET /login?redirect=https%3A%2F%2Fwww.example.com%2Fa.html 302
GET /oauth/authorize?redirect_uri=https://app.example.com/callback&response_type=code 302
GET /proxy?url=https://cdn.example.com/a.png 200
GET /share?u=https://www.example.com/post 200
POST /login 200
POST /login 302
POST /wp-login.php 302
GET /wp-login.php 200
GET /wp-admin/admin-ajax.php?action=heartbeat 200
GET /wp-content/uploads/2026/11/a.jpg 200
GET /wp-includes/js/jquery/jquery.js?ver=3.7.1 200
GET /wp-json/wp/v2/posts?per_page=10&_fields=id,title 200
GET /xmlrpc.php?rsd 200
GET /phpmyadmin/index.php?route=/database/structure 200
GET /manager/html 200
GET /server-status?auto 200
GET /actuator/health 200
GET /actuator/env 200
GET /api/v1/users/42?fields=name,email 200
GET /api/v2/items?filter[price][gte]=10 200
GET /api/graphql?query={user{id}} 200
POST /api/graphql 200
PUT /api/v1/items/7 204
DELETE /api/v1/items/7 204
OPTIONS /api/v1/items 204
PROPFIND /dav/calendars/bob/ 207
REPORT /dav/calendars/bob/work/ 207
GET /git/repo.git/info/refs?service=git-upload-pack 200
GET /v2/library/alpine/manifests/latest 200
GET /metrics 200
GET /health 200
GET /feed/ 200
GET /feed.xml 304
GET /download/setup.exe 200
GET /downloads/data.sql.html 200
GET /docs/etc/passwords.html 200
GET /docs/bash/scripting.html 200
GET /docs/../docs/index.html 200
GET /a..b/c 200
GET /page?x=1&y=2&z=3 200
GET /cart?add=1%2C2%2C3 200
GET /products?sort=price&order=desc&page=2 200
GET /maps/@52.5,13.4,15z 200
GET /calendar/2026-11-22T09:00:00+01:00 200
GET /unsubscribe?token=eyJhbGciOiJIUzI1NiJ9.e30.abc-_ 200
GET /index.php?option=com_content&view=article&id=1:hello&catid=2 200
GET /index.php/apps/files/?dir=/Documents 200
GET /remote.php/dav/files/bob/a%20b.txt 200
GET /ocs/v2.php/apps/user_status/api/v1/user_status?format=json 200
GET /socket.io/?EIO=4&transport=polling&t=Oabc 200
GET /_next/static/chunks/main-1a2b.js 200
GET /__webpack_hmr 200
GET /cgi-bin/awstats.pl?config=www 200
GET /cgi-bin/mailman/listinfo 200
GET /geoserver/wms?service=WMS&request=GetMap&layers=a:b 200
GET /solr/core/select?q=title:banana 200
GET /kibana/app/discover#/?_g=(time:(from:now-15m,to:now)) 200
GET /jenkins/job/build/42/console 200
GET /confluence/display/DOC/Home 200
GET /owa/ 200
POST /Microsoft-Server-ActiveSync?User=bob&DeviceId=x&Cmd=Ping 200
GET /autodiscover/autodiscover.xml 200
GET /rails/active_storage/blobs/eyJfcmFpbHMi--3f2a/a.png 200
GET /track?e=view&u=%2Fpricing&r=https%3A%2F%2Fwww.example.org%2F 204
GET /player?file=https://media.example.com/a.mp4 200
GET /print?html=1 200
GET /question/what-is-1-or-1-equals-1 200
GET /poll?and=1&or=2 200
GET /weather?lat=52.5&lon=-13.4 200
GET /robots.txt 404
GET /old-page.html 404
GET /missing.png 404
GET /ads.txt 404
"""
BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Tiny Tiny RSS/24.0 (https://tt-rss.org/)",
    "curl/8.5.0",
)
REQUESTS = [line.rsplit(" ", 1) for line in ORDINARY.strip().splitlines()]


@pytest.mark.parametrize(("request_", "status"), REQUESTS, ids=[" ".join(each) for each in REQUESTS])
def test_an_ordinary_request_is_no_attack(request_: str, status: str) -> None:
    """Nothing that a site's own pages and users ask for is a failure or a probe of attacks."""
    for agent in BROWSERS:
        line = f'192.0.2.7 - - [22/Nov/2026:09:00:00 +0000] "{request_} HTTP/1.1" {status} 153 "-" "{agent}"'
        assert scan(load_native("web-attack"), line) == []
        assert [row for row in scan(load_native("web-scan"), line) if row[0] == "failed"] == []
        assert [row for row in scan(load_native("web-auth"), line) if row[0] == "failed"] == []
