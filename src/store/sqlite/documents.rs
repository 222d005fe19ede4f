//! Documents: every revision, which ones are in force, and the generation that counts publications.

use serde::de::{IntoDeserializer, value::StringDeserializer};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{Sqlite, failure::Failure, get_setting, next_number, now_ms, word};
use crate::{
    error::{Error, Result},
    safety::Masked,
    words::{Document, Lang},
};

const GENERATION: &str = "generation";

impl Sqlite {
    pub(in crate::store) async fn publish(&self, documents: &[Document], removed: &[(String, Lang)]) -> Result<i64> {
        if documents.is_empty() && removed.is_empty() {
            return self.generation().await;
        }
        let (documents, removed) = (documents.to_vec(), removed.to_vec());
        self.write("publishing documents to", None, move |connection| {
            Box::pin(async move {
                let generation = next_number(connection, GENERATION).await?;
                for (id, lang) in removed {
                    sqlx::query("UPDATE documents SET current = 0 WHERE id = ?1 AND lang = ?2 AND current = 1")
                        .bind(id)
                        .bind(lang.as_str())
                        .execute(&mut *connection)
                        .await?;
                }
                for document in &documents {
                    put(connection, document, generation).await?;
                }
                Ok(generation)
            })
        })
        .await
    }

    pub(in crate::store) async fn documents(&self) -> Result<Vec<Document>> {
        let act = "reading documents from";
        let mut reader = self.reader(act).await?;
        let rows = sqlx::query("SELECT * FROM documents WHERE current = 1 ORDER BY id, lang").fetch_all(&mut *reader);
        let rows = rows.await.map_err(self.failed(act))?;
        rows.iter().map(document).collect::<Result<_, Failure>>().map_err(self.failed(act))
    }

    pub(in crate::store) async fn generation(&self) -> Result<i64> {
        let act = "reading the generation from";
        let value = get_setting(&mut *self.reader(act).await?, GENERATION).await.map_err(self.failed(act))?;
        let number = value.map_or(Ok(0), |value| value.parse::<i64>());
        number.map_err(Failure::unreadable).map_err(self.failed(act))
    }

    pub(in crate::store) async fn document(
        &self,
        id: &str,
        lang: Option<Lang>,
        revision: Option<&str>,
    ) -> Result<Document> {
        let act = "reading a document from";
        let mut reader = self.reader(act).await?;
        let row = sqlx::query(
            "SELECT * FROM documents
             WHERE id = ?1 AND (?2 IS NULL OR lang = ?2) AND CASE WHEN ?3 IS NULL THEN current = 1 ELSE revision = ?3 END
             ORDER BY lang DESC LIMIT 1",
        )
        .bind(id)
        .bind(lang.map(Lang::as_str))
        .bind(revision)
        .fetch_optional(&mut *reader)
        .await
        .map_err(self.failed(act))?;
        match row {
            Some(row) => document(&row).map_err(self.failed(act)),
            None => {
                let lang = lang.map(|lang| format!(" ({lang})")).unwrap_or_default();
                let revision = revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
                Err(Error::NotFound { what: "document", id: format!("{id}{lang}{revision}") })
            }
        }
    }
}

async fn put(connection: &mut SqliteConnection, document: &Document, generation: i64) -> Result<(), Failure> {
    sqlx::query("UPDATE documents SET current = 0 WHERE id = ?1 AND lang = ?2 AND current = 1 AND revision <> ?3")
        .bind(&document.id)
        .bind(document.lang.as_str())
        .bind(&document.revision)
        .execute(&mut *connection)
        .await?;
    // The same revision is the same visible text; only where it came from may have changed.
    sqlx::query(
        "INSERT INTO documents (id, lang, revision, kind, audience, title, aliases, body, tags, product,
                                valid_from, valid_until, source, current, generation, published_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1, ?14, ?15)
         ON CONFLICT (id, lang, revision)
         DO UPDATE SET current = 1, generation = excluded.generation, source = excluded.source",
    )
    .bind(&document.id)
    .bind(document.lang.as_str())
    .bind(&document.revision)
    .bind(document.kind.as_str())
    .bind(document.audience.as_str())
    .bind(document.title.as_str())
    .bind(serde_json::to_string(&document.aliases).map_err(Failure::unreadable)?)
    .bind(document.body.as_str())
    .bind(serde_json::to_string(&document.tags).map_err(Failure::unreadable)?)
    .bind(&document.product)
    .bind(document.valid_from.map(|day| day.to_string()))
    .bind(document.valid_until.map(|day| day.to_string()))
    .bind(&document.source)
    .bind(generation)
    .bind(now_ms())
    .execute(connection)
    .await?;
    Ok(())
}

fn document(row: &SqliteRow) -> Result<Document, Failure> {
    let day = |column: &str| -> Result<Option<jiff::civil::Date>, Failure> {
        let text: Option<&str> = row.try_get(column)?;
        text.map(str::parse).transpose().map_err(Failure::unreadable::<jiff::Error>)
    };
    Ok(Document {
        id: row.try_get("id")?,
        revision: row.try_get("revision")?,
        lang: word(row, "lang")?,
        kind: word(row, "kind")?,
        audience: word(row, "audience")?,
        title: masked(row.try_get("title")?)?,
        aliases: serde_json::from_str(row.try_get("aliases")?).map_err(Failure::unreadable)?,
        body: masked(row.try_get("body")?)?,
        tags: serde_json::from_str(row.try_get("tags")?).map_err(Failure::unreadable)?,
        product: row.try_get("product")?,
        valid_from: day("valid_from")?,
        valid_until: day("valid_until")?,
        source: row.try_get("source")?,
    })
}

/// Text that was masked when it was written; read back as it was, because masking again could move offsets.
pub(super) fn masked(text: String) -> Result<Masked, Failure> {
    let text: StringDeserializer<serde::de::value::Error> = text.into_deserializer();
    serde::Deserialize::deserialize(text).map_err(Failure::unreadable::<serde::de::value::Error>)
}
