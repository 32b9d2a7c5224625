//! `/openapi.json` and `/docs`.

on_both_stores! {
    async fn the_document_is_served_as_json(on: On) {
        let app = on.start().await;
        let answer = app.node.send(app.node.get("/openapi.json")).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let document = answer.json();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["paths"]["/login"]["post"]["operationId"], "signIn");
    }

    async fn the_page_loads_its_own_files_only(on: On) {
        let app = on.start().await;
        let page = app.node.send(app.node.get("/docs")).await.expect(200);
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        let text = page.text.clone();
        let named = text.split(['"']).filter(|part| part.starts_with("docs/") || part.contains("://"));
        let named: Vec<_> = named.collect();
        assert_eq!(named, ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/docs.js"]);
        for (file, media_type) in named.into_iter().zip(["text/css", "text/javascript", "text/javascript; charset=utf-8"]) {
            let answer = app.node.send(app.node.get(&format!("/{file}"))).await.expect(200);
            assert_eq!(answer.header("content-type"), Some(media_type), "{file}");
        }
        app.node.send(app.node.get("/docs/index.html")).await.problem(404, "not_found");
        let redirect = app.node.send(app.node.get("/docs/")).await.expect(308);
        assert_eq!(redirect.header("location"), Some("../docs"));
    }
}
